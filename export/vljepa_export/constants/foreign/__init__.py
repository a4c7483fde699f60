"""Graphs in other formats than ONNX beside the float graph: each is read into one vocabulary, and both are walked."""
