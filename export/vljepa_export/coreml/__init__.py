"""How a graph becomes a Core ML package; `vljepa_export.targets.coreml` puts the steps together."""
