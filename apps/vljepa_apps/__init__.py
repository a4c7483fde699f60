"""The `vljepa` command: thin shells over the public functions of the other packages."""

__all__: list[str] = []
