"""One module per target besides ONNX: each turns a checked float graph into the target's own files."""
