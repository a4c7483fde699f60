"""A bundle on disk, read as if a stranger had sent it and written so that a crash leaves none half done.

A bundle is a folder, or a zip that stores its members; both hold `bundle.json` and the files it lists.
Knows no engine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from vljepa_runtime.bundle_place import MANIFEST, check_place
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.manifest import FileSpec, GraphSpec, Manifest, check_file_name
from vljepa_runtime.scratch import scratch_folder
from vljepa_runtime.sources.redaction import hide_in_name
from vljepa_runtime.strict_json import parse_json
from vljepa_runtime.tokenizer_limits import check_tokenizer

__all__ = ["Bundle", "shipped_bundles", "write_bundle"]

MAX_MANIFEST_BYTES = 1 << 20
MAX_ZIP_MEMBERS = 1024
CHUNK = 1 << 20
SHIPPED = Path(__file__).parent / "bundles"
_ASK = "download or export it again"


class Bundle:
    """An opened bundle: its manifest is valid, every listed file is there with the size that was promised."""

    def __init__(self, store: _Folder | _Zip | _Memory, manifest: Manifest) -> None:
        self._store = store
        self._verified: set[str] = set()
        self.manifest = manifest

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
        store = _Folder(found) if found.is_dir() else _Zip(found)
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
        specs = {
            check_file_name(name): FileSpec(size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in files.items()
        }
        bundle = cls(_Memory(files), replace(manifest, files=specs))
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
        if name not in self.manifest.graphs:
            held = ", ".join(self.manifest.graphs) or "none"
            raise BundleError(f"{self.name} has no graph {name!r}, it has {held}: export it with that graph")
        return self.manifest.graphs[name]

    def read(self, name: str) -> bytes:
        """The bytes of one listed file, hashed on the way.

        Raises:
            BundleError: the file is not listed, or its content is not what was listed.
        """
        spec = self._spec(name)
        with self._store.open(name) as file:
            data = file.read(spec.size + 1)
        self._compare(name, len(data), hashlib.sha256(data).hexdigest())
        return data

    def path(self, name: str) -> Path | None:
        """Where one listed file lies, hashed before the first use; None inside a zip."""
        self._spec(name)
        found = self._store.path(name)
        if found is not None and name not in self._verified:
            self._hash(name)
        return found

    def verify(self) -> None:
        """Hash every listed file, and look at the tokenizers before anything runs them.

        Raises:
            BundleError: one differs from what was listed, or is no tokenizer of a known kind.
        """
        for name in self.manifest.files:
            self._hash(name)
        for name in sorted(set(self.manifest.tokenizers.values())):
            check_tokenizer(self.read(name), name, rows=self.manifest.token_rows(name))

    def _spec(self, name: str) -> FileSpec:
        if name not in self.manifest.files:
            raise BundleError(f"{self.name} does not list the file {name!r}: {_ASK}")
        return self.manifest.files[name]

    def _hash(self, name: str) -> None:
        digest, size = hashlib.sha256(), 0
        with self._store.open(name) as file:
            while block := file.read(CHUNK):
                digest.update(block)
                size += len(block)
        self._compare(name, size, digest.hexdigest())
        self._verified.add(name)

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
        if unlisted := sorted(wanted - set(self.manifest.files)):
            raise BundleError(f"{MANIFEST} names files without size and hash: {', '.join(unlisted)}: {_ASK}")
        for name, spec in self.manifest.files.items():
            if (size := self._store.size(name)) != spec.size:
                raise BundleError(
                    f"{name}: expected {spec.size} bytes, got {size}: the bundle is damaged, {_ASK}"
                )


class _Folder:
    """Files of a folder; links and special files are refused."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def manifest_bytes(self) -> bytes:
        size = self.size(MANIFEST)
        _check_manifest_size(size, self.root)
        with self.open(MANIFEST) as file:
            return file.read(MAX_MANIFEST_BYTES)

    def size(self, name: str) -> int:
        return self._stat(name).st_size

    def path(self, name: str) -> Path | None:
        self._stat(name)
        return self.root / name

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        self._stat(name)
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self.root / name, flags)
        except OSError as error:
            raise BundleError(f"cannot read {self.root / name}: {error.strerror}: {_ASK}") from error
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def _stat(self, name: str) -> os.stat_result:
        place = self.root
        parts = name.split("/")
        for depth, part in enumerate(parts, 1):
            place = place / part
            try:
                found = os.lstat(place)
            except OSError as error:
                raise BundleError(f"{self.root} lacks the file {name}: {_ASK}") from error
            regular = stat.S_ISREG(found.st_mode) if depth == len(parts) else stat.S_ISDIR(found.st_mode)
            if not regular:
                raise BundleError(
                    f"{name} in {self.root}: expected a plain file, got a link or a special file: "
                    "copy the real file there"
                )
        return found


class _Zip:
    """Members of a zip; compressed, encrypted, linked and repeated members are refused."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with self._archive() as archive:
            infos = archive.infolist()
        if len(infos) > MAX_ZIP_MEMBERS:
            raise BundleError(f"{root}: expected at most {MAX_ZIP_MEMBERS} files, got {len(infos)}: {_ASK}")
        self._sizes: dict[str, int] = {}
        for info in infos:
            if not info.filename.endswith("/"):  # is_dir() raises where there is no name
                self._admit(info)

    def _admit(self, info: zipfile.ZipInfo) -> None:
        name = info.filename
        if name != MANIFEST:
            check_file_name(name)
        if name in self._sizes:
            raise BundleError(f"{self.root} holds {name} twice: {_ASK}")
        if (
            info.compress_type != zipfile.ZIP_STORED
            or info.flag_bits & 1
            or info.file_size != info.compress_size
        ):
            raise BundleError(
                f"{name} in {self.root}: expected a stored member, got a packed one: zip it with `zip -0`"
            )
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BundleError(
                f"{name} in {self.root}: expected a plain file, got a link or a special file: {_ASK}"
            )
        self._sizes[name] = info.file_size

    def manifest_bytes(self) -> bytes:
        _check_manifest_size(self.size(MANIFEST), self.root)
        with self.open(MANIFEST) as file:
            return file.read(MAX_MANIFEST_BYTES)

    def size(self, name: str) -> int:
        if name not in self._sizes:
            raise BundleError(f"{self.root} lacks the file {name}: {_ASK}")
        return self._sizes[name]

    def path(self, name: str) -> Path | None:
        return None

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        with self._archive() as archive, archive.open(name) as file:
            yield file

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.root) as archive:
                yield archive
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            EOFError,
            KeyError,
            ValueError,
        ) as error:
            raise BundleError(f"{self.root} is not a readable zip ({error}): {_ASK}") from error
        except OSError as error:
            raise BundleError(f"cannot read {self.root}: {error.strerror or error}: {_ASK}") from error


class _Memory:
    """Files that are on no disk."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.root = Path("memory")
        self._files = files

    def size(self, name: str) -> int:
        return len(self._files[name])

    def path(self, name: str) -> Path | None:
        return None

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        yield io.BytesIO(self._files[name])


def shipped_bundles() -> tuple[str, ...]:
    """Names of the bundles that come with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.vljepa")))


def write_bundle(
    target: str | os.PathLike[str],
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    *,
    archive: bool = True,
    force: bool = False,
    move: bool = False,
) -> Bundle:
    """Write a bundle under a temporary name and rename it.

    Args:
        target: Where, by custom `NAME.vljepa`.
        manifest: Its `files` are replaced by what is written.
        files: Content per name in the bundle; a `Path` is copied.
        archive: One stored zip; with False a folder.
        force: Replace what is there.
        move: Take files that are given as a `Path` from where they lie, instead of copying gigabytes.

    Returns:
        The bundle, opened and verified.

    Raises:
        BundleError: a name is not safe, `target` exists, or a graph's file is not among `files`.
    """
    place = Path(target)
    check_place(place, force=force)
    for name in files:
        check_file_name(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(place) as scratch:
        draft = scratch / "bundle"
        draft.mkdir()
        specs = {name: _put(content, draft / name, move=move) for name, content in sorted(files.items())}
        manifest = replace(manifest, files=specs)
        text = json.dumps(manifest.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
        Bundle.open(draft)
        if archive:
            draft = _zip(draft, [MANIFEST, *specs], scratch / "bundle.zip")
        check_place(place, force=force)
        if place.is_dir():
            os.rename(place, scratch / "replaced")
        os.replace(draft, place)
    return Bundle.open(place)


def _put(content: bytes | Path, to: Path, *, move: bool) -> FileSpec:
    to.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        to.write_bytes(content)
    elif move:
        shutil.move(content, to)
    else:
        shutil.copyfile(content, to)
    digest = hashlib.sha256()
    with to.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return FileSpec(size=to.stat().st_size, sha256=digest.hexdigest())


def _zip(folder: Path, names: list[str], to: Path) -> Path:
    """A stored zip with fixed times, so that the same content gives the same bytes."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member, CHUNK)
    return to


def _locate(path: str | os.PathLike[str]) -> Path:
    try:
        if not isinstance(os.fspath(path), str):
            raise TypeError
    except TypeError:
        raise InputError(f"expected a bundle's path or shipped name as text or path, got {path!r}") from None
    found, is_shipped = Path(path), isinstance(path, str) and path in shipped_bundles()
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
    raise BundleError(f"no bundle at {shown}: expected a .vljepa folder or file, or a shipped name ({names})")


def _check_manifest_size(size: int, root: Path) -> None:
    if size > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{MANIFEST} in {root}: expected at most {MAX_MANIFEST_BYTES} bytes, got {size}: {_ASK}"
        )


def _parse(data: bytes, root: Path) -> object:
    try:
        return parse_json(data)
    except ValueError as error:
        raise BundleError(f"{MANIFEST} in {root} is not readable JSON ({error}): {_ASK}") from error
