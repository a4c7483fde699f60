"""Cells of a comparison that were measured already: one that was stopped goes on with what is missing.

A cell is one line with one task, or all lines with one thing that they take turns in. It is named by all that it
depends on, so that another bundle, clip, library or a change of the code is another cell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import console
from vljepa_apps.measure.machine import installed, machine
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.errors import VljepaError
from vljepa_runtime.files import parse_json, replace_file

if TYPE_CHECKING:
    from vljepa_apps.measure.subject import Subject

__all__ = ["KeptCells", "Lines", "identity", "listing"]

Lines = Sequence[dict[str, Any]]
"""What was measured, as the worker says it."""
VERSIONS = ("vljepa-edge", "numpy", "onnxruntime", "openvino", "torch", "transformers")
PACKAGES = ("vljepa_runtime", "vljepa_data", "vljepa_evaluation", "vljepa_model")
MEASURING = ("*.py", "baselines/*.py", "compare/parity.py", "peers/energy.py")  # of `vljepa_apps.measure`


class KeptCells:
    """Cells in a folder, a file each.

    Args:
        folder: Where; None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._used: list[Path] = []

    def get(self, what: Mapping[str, Any]) -> Lines | None:
        """What a cell gave, if it was measured before."""
        if self._folder is None:
            return None
        path = self._path(what)
        try:
            lines = [parse_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError, VljepaError):
            return None
        console.note(f"  as measured before ({path})")
        return lines

    def has(self, what: Mapping[str, Any]) -> bool:
        """Whether a cell was measured before."""
        return self._folder is not None and self._path(what).is_file()

    def put(self, what: Mapping[str, Any], lines: Lines) -> None:
        """Keep a cell that was measured to its end."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(line) + "\n" for line in lines)
            replace_file(self._path(what), text.encode())

    def forget(self) -> None:
        """Remove the cells of this comparison: it is over, and there is nothing to go on from."""
        for path in self._used:
            path.unlink(missing_ok=True)

    def _path(self, what: Mapping[str, Any]) -> Path:
        assert self._folder is not None
        about = {"code": code_version(), "machine": machine(), **{name: installed(name) for name in VERSIONS}}
        path = self._folder / f"{_digest([what, about])}.jsonl"
        self._used.append(path)
        return path


def identity(subject: Subject, label: str) -> dict[str, Any]:
    """What a line is: how it runs, and the files that it runs, by their hashes where it says them.

    Args:
        subject: The line.
        label: In the report; of two that are one bundle on one engine it tells which, so that each is measured.
    """
    held = {name: getattr(subject, name) for name in subject.__slots__}
    return held | {"files": _files(subject.spec), "copy": label.partition(" #")[2]}


def _files(spec: str) -> Any:
    """A bundle's own list; of a checkpoint's folder names, sizes and times."""
    place = Path(spec.partition(":")[2] if ":" in spec and not Path(spec).exists() else spec)
    if spec.partition(":")[2] and place.is_dir():
        return listing(place)
    try:
        with Bundle.open(spec) as bundle:
            return bundle.manifest.to_dict()
    except (VljepaError, OSError):
        return None  # shipped, or the one that measures says what is wrong with it


def listing(place: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a file, or of all in a folder; nothing of what is not there."""
    files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    found = [(path, path.stat()) for path in files if path.is_file()]
    return [(str(path), about.st_size, about.st_mtime_ns) for path, about in found]


@cache
def code_version() -> str:
    """Of all that decides what is measured."""
    from vljepa_apps import measure

    folders = [Path(spec.origin).parent for name in PACKAGES if (spec := find_spec(name)) and spec.origin]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    files += [path for place in measure.__path__ for glob in MEASURING for path in Path(place).glob(glob)]
    return _digest([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in sorted(files)])


def _digest(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:24]
