"""Peers against each other in one run: each in a process of its own, their runs in turns; report, page and picture."""
