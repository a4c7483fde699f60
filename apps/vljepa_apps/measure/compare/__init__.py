"""Bundles against each other and PyTorch: accuracy and memory in a process each, latency in turns."""
