"""The paper's controlled comparison at small size: VL-JEPA against a token-space VLM on the same frozen features."""
