"""Files, whatever they hold: written whole or not at all, read strictly. Knows no model and no bundle."""
