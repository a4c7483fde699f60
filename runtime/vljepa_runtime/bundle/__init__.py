"""A bundle: the manifest, the files it lists, how they are read and how they are written. Knows no engine."""

from vljepa_runtime.bundle.reader import Bundle, shipped_bundles, write_bundle

__all__ = ["Bundle", "shipped_bundles", "write_bundle"]
