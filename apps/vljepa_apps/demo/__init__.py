"""The demo: its stream, what is watched on it, the truth beside it, and the page it leaves."""
