"""One module per target: each turns a checked float graph into the target's own files."""
