"""Which version is installed; one for all packages, as `vljepa --version` says it."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("vljepa-edge")
except PackageNotFoundError:
    __version__ = "unknown (not installed)"
