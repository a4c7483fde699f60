"""A bundle on disk, read as if a stranger had sent it.

A bundle is a folder, or a zip that stores its members; both hold `bundle.json` and the files it lists.
Knows no engine.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from vljepa_runtime import arguments
from vljepa_runtime.bundle.entries import FileSpec, GraphSpec, check_file_name
from vljepa_runtime.bundle.manifest import Manifest
from vljepa_runtime.bundle.place import MANIFEST
from vljepa_runtime.bundle.stores import FolderFiles, MemoryFiles, Store, ZipFiles
from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.redaction import hide_in_name
from vljepa_runtime.suggestions import did_you_mean
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["MAPPED_BYTES", "Bundle", "shipped_bundles"]

# Larger files are mapped and not read: the weights of a large model would lie in memory twice while they are loaded.
MAPPED_BYTES = 64 << 20
SHIPPED = Path(__file__).parents[1] / "bundles"
_ASK = "download or export it again"


class Bundle(Closing):
    """An opened bundle: its manifest is valid, every listed file is there with the size that was promised.

    Its files are held open, so that what was checked is what is read later, when the path may hold something else. They
    are let go by `close`, at the end of a `with` block, or with the bundle.

    Examples:
        >>> import vljepa_runtime as vj
        >>> with vj.Bundle.open("tiny") as bundle:
        ...     print(bundle.name, list(bundle.manifest.graphs))
        ...     print(bundle.graph("y_encoder").outputs[0].shape, bundle.read("tokenizer.json")[:1])
        tiny ['x_encoder', 'predictor', 'y_encoder', 'y_decoder_prefill', 'y_decoder_step']
        ('B', 256) b'{'
        >>> bundle
        <Bundle tiny for onnx: 5 graphs of int8-dynamic, 9.3 MB>
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._verified: dict[str, tuple[int, ...]] = {}
        self._tokenizers: dict[str, Tokenizer] = {}
        self.manifest = manifest

    def __repr__(self) -> str:
        megabytes = sum(spec.size for spec in self.manifest.files.values()) / 1e6
        graphs = f"{len(self.manifest.graphs)} graphs of {self.manifest.precision_text}"
        return f"<Bundle {self.name} for {self.manifest.target}: {graphs}, {megabytes:.1f} MB>"

    def close(self) -> None:
        """Let go of the files; what a model has loaded stays loaded."""
        self._store.close()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = True) -> Bundle:
        """Open a folder, a stored zip, or a shipped bundle by name.

        Args:
            path: A path, or the name of a shipped bundle such as `tiny`.
            verify: Hash every file now. With False each file is hashed when it is first used.

        Raises:
            BundleError: it is missing, damaged, hostile or of a format that this reader does not know.
        """
        found = _locate(path)
        store: Store = FolderFiles(found) if found.is_dir() else ZipFiles(found)
        manifest = Manifest.from_dict(_parse(store.manifest_bytes(), found))
        bundle = cls(store, manifest)
        bundle._check_listing()
        if verify:
            bundle.verify()
        return bundle

    @classmethod
    def in_memory(cls, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """A bundle that is on no disk, to be looked at before it is written.

        Args:
            manifest: Its `files` are replaced by what is given.
            files: Content per name.

        Raises:
            BundleError: a name is not safe, or a graph's file is not among `files`.
        """
        arguments.instance(manifest, "manifest", Manifest)
        specs = {
            check_file_name(name): FileSpec(size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in files.items()
        }
        bundle = cls(MemoryFiles(files), replace(manifest, files=specs))
        bundle._check_listing()
        return bundle

    @property
    def location(self) -> Path:
        """The folder or the zip."""
        return self._store.root

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return self.manifest.name

    def graph(self, name: str) -> GraphSpec:
        """The contract of one graph.

        Raises:
            BundleError: the bundle has no such graph.
        """
        arguments.instance(name, "a graph's name", str)
        if name not in self.manifest.graphs:
            held = ", ".join(self.manifest.graphs) or "none"
            raise BundleError(f"{self.name} has no graph {name!r}, it has {held}: export it with that graph")
        return self.manifest.graphs[name]

    def read(self, name: str) -> bytes:
        """The bytes of one listed file, hashed on the way.

        Raises:
            BundleError: the file is not listed, or its content is not what was listed.
        """
        self._spec(name)
        data = self._store.file(name).read()
        self._compare(name, len(data), hashlib.sha256(data).hexdigest())
        return data

    def view(self, name: str) -> memoryview:
        """As `read`, but a large file is mapped; ask `check_unchanged` when all of it has been copied.

        Raises:
            BundleError: the file is not listed, or its content is not what was listed.
        """
        if self._spec(name).size < MAPPED_BYTES:
            return memoryview(self.read(name))
        file = self._store.file(name)
        if self._verified.get(name) != file.stamp():
            self._hash(name)
        return file.view()

    def check_unchanged(self, names: Iterable[str]) -> None:
        """Compare files that were mapped with what they were when they were hashed; the others were copied.

        Raises:
            BundleError: somebody has written to one since.
        """
        for name in names:
            if (
                self._spec(name).size >= MAPPED_BYTES
                and self._verified.get(name) != self._store.file(name).stamp()
            ):
                raise BundleError(
                    f"{name} of {self.location} was written to while it was being loaded: load it again"
                )

    def descriptor(self, name: str) -> int | None:
        """The descriptor of the open file that holds a listed file and nothing else; None inside a zip."""
        self._spec(name)
        return self._store.file(name).descriptor()

    def verify(self) -> None:
        """Hash every listed file, and read the tokenizers.

        Raises:
            BundleError: one differs from what was listed, or is no tokenizer of a known kind.
        """
        for name in self.manifest.files:
            self._hash(name)
        for name in sorted(set(self.manifest.tokenizers.values())):
            self.tokenizer(name)

    def tokenizer(self, name: str) -> Tokenizer:
        """One listed tokenizer, read once.

        Raises:
            BundleError: the file is not listed, not what was listed, or no tokenizer of a known kind.
        """
        if name not in self._tokenizers:
            rows = self.manifest.token_rows(name)
            self._tokenizers[name] = Tokenizer.from_bytes(self.read(name), name, rows=rows)
        return self._tokenizers[name]

    def tokenizer_for(self, role: str) -> Tokenizer:
        """The tokenizer of a network; a bundle with one file uses it for all.

        Raises:
            BundleError: several are listed and none for it, or see `tokenizer`.
        """
        listed = self.manifest.tokenizers
        files = set(listed.values())
        if role not in listed and len(files) != 1:
            raise BundleError(f"{self.name} names no tokenizer for {role}: export the bundle again")
        return self.tokenizer(listed[role] if role in listed else next(iter(files)))

    def _spec(self, name: str) -> FileSpec:
        arguments.instance(name, "a file's name", str)
        if name not in self.manifest.files:
            raise BundleError(f"{self.name} does not list the file {name!r}: {_ASK}")
        return self.manifest.files[name]

    def _hash(self, name: str) -> None:
        file = self._store.file(name)
        stamp = file.stamp()  # before the first byte is read: what is written from now on shows
        digest, size = hashlib.sha256(), 0
        for block in file.blocks():
            digest.update(block)
            size += len(block)
        self._compare(name, size, digest.hexdigest())
        self._verified[name] = stamp

    def _compare(self, name: str, size: int, sha256: str) -> None:
        spec = self.manifest.files[name]
        if size != spec.size:
            raise BundleError(
                f"{name}: expected {spec.size} bytes, got {size}: the bundle is damaged, {_ASK}"
            )
        if sha256 != spec.sha256:
            raise BundleError(
                f"{name}: expected sha256 {spec.sha256[:12]}..., got {sha256[:12]}...: "
                f"the bundle is damaged, {_ASK}"
            )

    def _check_listing(self) -> None:
        wanted = {name for spec in self.manifest.graphs.values() for name in (spec.file, *spec.external)}
        wanted |= set(self.manifest.tokenizers.values())
        if self.manifest.novelty:
            wanted.add(self.manifest.novelty.file)
        if self.manifest.boundaries:
            wanted.add(self.manifest.boundaries)
        if unlisted := sorted(wanted - set(self.manifest.files)):
            raise BundleError(f"{MANIFEST} names files without size and hash: {', '.join(unlisted)}: {_ASK}")
        for name, spec in self.manifest.files.items():
            if (size := self._store.file(name).size) != spec.size:
                raise BundleError(
                    f"{name}: expected {spec.size} bytes, got {size}: the bundle is damaged, {_ASK}"
                )


def shipped_bundles() -> tuple[str, ...]:
    """Names of the bundles that come with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.vljepa")))


def _locate(path: str | os.PathLike[str]) -> Path:
    found, is_shipped = (
        arguments.path(path, "a bundle's path or shipped name"),
        isinstance(path, str) and path in shipped_bundles(),
    )
    try:
        is_folder, is_file = found.is_dir(), found.is_file()
        if is_shipped and is_folder and not (found / MANIFEST).exists():
            is_folder = False  # any other folder of that name is in nobody's way
    except (OSError, ValueError) as error:  # too long, or no name at all
        raise BundleError(f"no bundle has the name {str(found)[:80]!r}: {error}") from error
    if is_shipped and is_file and not zipfile.is_zipfile(found):
        raise BundleError(
            f"a file named {found} lies here and is no bundle: rename it, or the shipped one stays hidden"
        )
    if is_folder or is_file:
        return found
    if is_shipped:
        return SHIPPED / f"{path}.vljepa"
    names = ", ".join(shipped_bundles()) or "none"
    shown = hide_in_name(str(path))  # sources are mistaken for bundles
    hint = did_you_mean(str(path).lower(), shipped_bundles(), lead=", ")
    raise BundleError(
        f"no bundle at {shown}{hint}: expected a .vljepa folder or file, or a shipped name ({names})"
    )


def _parse(data: bytes, root: Path) -> object:
    try:
        return parse_json(data)
    except ValueError as error:
        raise BundleError(f"{MANIFEST} in {root} is not readable JSON ({error}): {_ASK}") from error
