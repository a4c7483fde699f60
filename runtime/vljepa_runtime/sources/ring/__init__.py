"""The newest encoded pictures of a stream in bounded memory: cut out as they are, written to a file, decoded again."""
