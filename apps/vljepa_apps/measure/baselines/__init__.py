"""What others would run in a bundle's place: dual encoders, token VLMs and a text-only floor, each a line's model."""
