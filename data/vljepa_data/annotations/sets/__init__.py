"""One file for each published data set: what it looks for in a folder, and what it says of which video or picture."""

__all__: list[str] = []
