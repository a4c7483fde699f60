"""Which version is installed: one for all packages."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("vljepa-edge")
except PackageNotFoundError:
    __version__ = "unknown (not installed)"
"""As `vljepa --version` says it."""
