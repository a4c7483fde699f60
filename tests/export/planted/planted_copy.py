"""A bundle taken apart, so that one fault can be planted, and put together again with sizes and hashes that match."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vljepa_evaluation.gates import REFERENCE_FILE, Reference
from vljepa_runtime.bundle import Bundle, Manifest

__all__ = ["Copy", "NotHere"]


class NotHere(Exception):
    """The bundle has no place for this fault."""


class Copy:
    """What a bundle holds, to be changed.

    Attributes:
        manifest: `bundle.json`, parsed.
        files: Content per name.
    """

    def __init__(self, source: Path) -> None:
        with zipfile.ZipFile(source) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        self.manifest: dict[str, Any] = json.loads(held.pop("bundle.json"))
        self.files = held

    def bundle(self, *, sealed: bool) -> Bundle:
        """Put it together with hashes that match.

        Args:
            sealed: Whether the reference is sealed again, so that nothing is left that shows an edit by itself.

        Raises:
            BundleError: nobody would take it.
        """
        self._finish(sealed=sealed)
        return Bundle.in_memory(Manifest.from_dict(self.manifest), self.files)

    def save(self, to: Path, *, sealed: bool) -> Path:
        """The same on disk, whether anybody takes it or not."""
        self._finish(sealed=sealed)
        with zipfile.ZipFile(to, "w") as archive:
            for name, content in {"bundle.json": json.dumps(self.manifest).encode(), **self.files}.items():
                archive.writestr(name, content)
        return to

    def _finish(self, *, sealed: bool) -> None:
        self._hash()
        if sealed:
            reference = Reference.from_bytes(self.files[REFERENCE_FILE])
            self.files[REFERENCE_FILE] = reference.sealed(Manifest.from_dict(self.manifest)).to_bytes()
            self._hash()

    def _hash(self) -> None:
        self.manifest["files"] = {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.files.items()
        }

    def file_of(self, graph: str) -> str:
        """The file of a graph."""
        if graph not in self.manifest["graphs"]:
            raise NotHere(f"no graph {graph}")
        return str(self.manifest["graphs"][graph]["file"])

    @contextmanager
    def tokenizer(self) -> Iterator[dict[str, Any]]:
        """The first tokenizer, parsed, to be changed in place."""
        name = next(iter(self.manifest["tokenizers"].values()))
        values = json.loads(self.files[name])
        yield values
        self.files[name] = json.dumps(values, ensure_ascii=False).encode()

    def words(self) -> dict[str, int]:
        """The ids of the first tokenizer's words."""
        name = next(iter(self.manifest["tokenizers"].values()))
        vocab: dict[str, int] = json.loads(self.files[name])["model"]["vocab"]
        return vocab

    def preprocess(self, **values: Any) -> None:
        """Other preprocessing."""
        self.manifest["preprocess"] |= values
