"""What is fuzzed: per target, the seeds, how they are changed, and what is done with the result.

A target's `run` may raise a `VljepaError` and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import ClassVar, Protocol

import numpy as np
from mutate import Document, change_bytes, change_json

from vljepa_apps import tables
from vljepa_apps.commands import inspect
from vljepa_data.annotations import DATA_SETS, Vocabulary, read_annotations
from vljepa_data.annotations.data_folder import DataFolder, FileMissingError
from vljepa_evaluation.gates import Reference
from vljepa_model.config import ModelConfig
from vljepa_model.errors import ConfigError
from vljepa_runtime import DeviceProfile, OnlineSelection, parse_tokens
from vljepa_runtime.alerts import AlertFile, AlertWatch, with_threshold
from vljepa_runtime.bundle import Bundle, Manifest
from vljepa_runtime.errors import BundleError
from vljepa_runtime.events import Event
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.tensors import unpack
from vljepa_runtime.graphs.ir_file import check_ir
from vljepa_runtime.graphs.mil_file import check_program
from vljepa_runtime.graphs.onnx_file import read_onnx
from vljepa_runtime.graphs.onnx_sizes import check_sizes
from vljepa_runtime.selection import Boundaries, observe
from vljepa_runtime.states import States
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["Target", "targets"]

HERE = Path(__file__).resolve().parent
SEEDS = HERE / "seeds"
BUNDLE = HERE.parent / "runtime" / "bundles" / "small.vljepa"


class Target(Protocol):
    """One kind of input."""

    name: str
    seeds: Sequence[bytes]

    def change(self, draw: Random) -> bytes:
        """An input made from a seed."""

    def run(self, data: bytes) -> None:
        """Read it as the product does.

        Raises:
            VljepaError: it is refused.
        """


class _Json:
    """Texts that are one JSON document each."""

    def __init__(self, name: str, seeds: Sequence[bytes] = ()) -> None:
        self.name = name
        self.seeds = [*seeds, *_files(name)]
        self.documents = [document for seed in self.seeds if (document := _document(seed)) is not None]

    def change(self, draw: Random) -> bytes:
        return change_json(draw.choice(self.documents), self.documents, draw)


class ManifestTarget(_Json):
    def run(self, data: bytes) -> None:
        manifest = _manifest(data)
        assert Manifest.from_dict(manifest.to_dict()) == manifest


class InspectTarget(_Json):
    def run(self, data: bytes) -> None:
        tables.text(inspect.parts(_manifest(data)))


class EventTarget(_Json):
    def run(self, data: bytes) -> None:
        line = Event.from_json(data.decode("utf-8", "surrogateescape")).to_json()
        assert Event.from_json(line).to_json() == line  # numbers are rounded once


class StatesTarget(_Json):
    def run(self, data: bytes) -> None:
        states = States.from_json(data)
        assert States.from_json(states.to_json()).names == states.names
        rows = np.eye(len(states.states[0].weights), dtype=np.float32)[:3]
        assert np.isfinite(states.with_unsure(rows)).all()


class AlertsTarget(_Json):
    def run(self, data: bytes) -> None:
        file = AlertFile.from_json(data)
        assert AlertFile.from_json(json.dumps(file.to_dict()).encode()) == file
        alerts = [with_threshold(replace(alert, query=None), _cosines) for alert in file.alerts]
        watch = AlertWatch(alerts, _cosines, queries=[""])
        rows = np.eye(8, dtype=np.float32)[[0, 0, 1, 1, 0]]
        for seen in observe(rows, np.arange(len(rows), dtype=float)):
            watch.push("", seen)
        watch.finish()


class ProfileTarget(_Json):
    def run(self, data: bytes) -> None:
        profile = DeviceProfile.from_json(data)
        assert DeviceProfile.from_json(profile.to_json()) == profile
        profile.other_device(dict.fromkeys(profile.device, ""))
        if profile.selection is not None and profile.selection.threshold is not None:
            OnlineSelection(threshold=profile.selection.threshold)
        parse_tokens(profile.tokens)


def _cosines(texts: Sequence[str]) -> np.ndarray:
    return np.eye(8, dtype=np.float32)[[len(text) % 8 for text in texts]]


class TokenizerTarget(_Json):
    texts = ("a red ball rolls to the left.", "A  cab\n123 'S ▁x \U0001f600é", "a" * 700)

    def run(self, data: bytes) -> None:
        tokenizer = Tokenizer.from_bytes(data)
        for text in self.texts:
            ids, _ = tokenizer.encode([text], lengths=(16, 64))
            tokenizer.decode(ids[0])
        tokenizer.decode(range(0, 70))


class ConfigTarget(_Json):
    def run(self, data: bytes) -> None:
        try:
            values = parse_json(data)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        config = ModelConfig.from_dict(values)
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


class TensorsTarget(_Json):
    """A header in JSON, with its length before it and as many bytes behind as its tensors end at, or a few."""

    body = bytes(range(160)) * 4

    def change(self, draw: Random) -> bytes:
        data = self.filled(super().change(draw))
        return change_bytes(data, draw) if draw.random() < 0.2 else data

    def filled(self, header: bytes) -> bytes:
        ends = [int(end[:4]) for end in re.findall(rb"data_offsets\W+\d+\W+(\d+)", header)]
        return len(header).to_bytes(8, "little") + header + self.body[: max(ends, default=640)]

    def run(self, data: bytes) -> None:
        try:
            unpack(data)
        except ValueError as error:
            raise BundleError(str(error)) from error


class BoundariesTarget(TensorsTarget):
    def run(self, data: bytes) -> None:
        known = Boundaries.from_bytes(data)
        for net in known.nets:
            assert 0 <= net.probability(np.eye(net.windows, 80, dtype=np.float32)) <= 1
        assert Boundaries.from_bytes(known.to_bytes()).to_bytes() == known.to_bytes()


class ReferenceTarget(TensorsTarget):
    """The parts of a reference as one JSON document; its texts become those of the header."""

    parts = ("samples", "scenes", "behaviour", "usage", "seal", "tensors")

    def change(self, draw: Random) -> bytes:
        parts = _Json.change(self, draw)
        document = _document(parts)
        spans = {"tensors": "0"}
        if document is not None:
            for start, end in document.members:
                for name in self.parts:
                    if document.text.startswith(f'"{name}":', start):
                        spans[name] = document.text[start + len(name) + 3 : end]
        told = {name: text.strip() for name, text in spans.items() if name != "tensors"}
        header = f'{{"__metadata__": {json.dumps(told)}, {spans["tensors"].strip()[1:]}'
        return self.filled(header.encode("utf-8", "surrogatepass"))

    def run(self, data: bytes) -> None:
        Reference.from_bytes(data)


class _Files:
    """Inputs that are read from a disk."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.name, self.scratch = name, scratch


class _Bytes:
    """Inputs whose bytes are changed."""

    def __init__(self, name: str, seeds: Sequence[bytes] = ()) -> None:
        self.name = name
        self.seeds = [*seeds, *_files(name)]

    def change(self, draw: Random) -> bytes:
        return change_bytes(draw.choice(self.seeds), draw)


class GraphTarget(_Bytes):
    """ONNX files, looked at as an X-encoder with weights beside it."""

    feeds: ClassVar = {"patches": (1, 8, 216), "positions": (1, 8, 3)}

    def run(self, data: bytes) -> None:
        check_sizes(read_onnx(memoryview(data), {"x.data": 4096}), self.feeds, limit=1 << 24)


class IrTarget(_Bytes):
    weights: ClassVar = memoryview(bytes(1 << 20))

    def run(self, data: bytes) -> None:
        check_ir(memoryview(data), self.weights)


class ProgramTarget(_Bytes):
    def run(self, data: bytes) -> None:
        check_program(memoryview(data), {"weights/weight.bin": 4096})


class ZipTarget(_Files):
    """A zipped bundle: its members changed and packed again, or its bytes."""

    lazy = False

    def __init__(self, name: str, scratch: Path) -> None:
        super().__init__(name, scratch)
        self.members = _small_members()
        self.manifest = _document(self.members["bundle.json"])
        self.tokenizer = _document(self.members["tokenizer.json"])
        self.seeds = [_zip(self.members), *_files(name)]

    def change(self, draw: Random) -> bytes:
        if draw.random() < 0.5 or self.manifest is None or self.tokenizer is None:
            return change_bytes(draw.choice(self.seeds), draw)
        members = dict(self.members)
        if draw.random() < 0.3:
            members["tokenizer.json"] = change_json(self.tokenizer, [self.tokenizer], draw)
            members["bundle.json"] = _listed(members)
        else:
            members["bundle.json"] = change_json(self.manifest, [self.manifest], draw)
        return _zip(members)

    def run(self, data: bytes) -> None:
        place = self.scratch / f"{self.name}.vljepa"
        place.write_bytes(data)
        bundle = Bundle.open(place, verify=not self.lazy)
        for name in bundle.manifest.files if self.lazy else ():
            bundle.read(name)


class LazyZipTarget(ZipTarget):
    lazy = True


class FolderTarget(_Files):
    """A bundle as a folder of which one file is replaced: the name, a line feed, the content."""

    def __init__(self, name: str, scratch: Path) -> None:
        super().__init__(name, scratch)
        self.members = _small_members()
        self.manifest = _document(self.members["bundle.json"])
        self.seeds = [name.encode() + b"\n" + data for name, data in self.members.items()]
        self.folder = scratch / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    def _restore(self) -> None:
        for name, data in self.members.items():
            (self.folder / name).write_bytes(data)

    def change(self, draw: Random) -> bytes:
        if draw.random() < 0.6 and self.manifest is not None:
            return b"bundle.json\n" + change_json(self.manifest, [self.manifest], draw)
        name = draw.choice(sorted(self.members))
        return name.encode() + b"\n" + change_bytes(self.members[name], draw)

    def run(self, data: bytes) -> None:
        name, _, content = data.partition(b"\n")
        place = self.folder / name.decode()
        place.write_bytes(content)
        try:
            Bundle.open(self.folder)
        finally:
            place.write_bytes(self.members[name.decode()])


class AnnotationsTarget(_Files):
    """Annotation files of every kind: the name, a line feed, the content."""

    def __init__(self, name: str, scratch: Path) -> None:
        super().__init__(name, scratch)
        self.seeds = [path.name.encode() + b"\n" + path.read_bytes() for path in _paths(name)]
        self.folder = scratch / name
        self.folder.mkdir(parents=True, exist_ok=True)

    def change(self, draw: Random) -> bytes:
        name, _, content = draw.choice(self.seeds).partition(b"\n")
        lines = content.split(b"\n")
        at = draw.randrange(len(lines))
        document = _document(lines[at]) if name.endswith((b".jsonl", b".json")) else None
        if document is not None and draw.random() < 0.8:
            lines[at] = change_json(document, [document], draw)
            return name + b"\n" + b"\n".join(lines)
        if name.endswith((b".csv", b".txt")) and draw.random() < 0.6:
            parts = lines[at].split(b"," if name.endswith(b".csv") else b" ")
            parts[draw.randrange(len(parts))] = draw.choice(CELLS)
            lines[at] = (b"," if name.endswith(b".csv") else b" ").join(parts)
            return name + b"\n" + b"\n".join(lines)
        return name + b"\n" + change_bytes(content, draw)

    def run(self, data: bytes) -> None:
        name, _, content = data.partition(b"\n")
        place = self.folder / name.decode()
        place.write_bytes(content)
        read_annotations(place)


class DataSetsTarget(AnnotationsTarget):
    """Files of published data sets: the set and the name, a line feed, the content."""

    def __init__(self, name: str, scratch: Path) -> None:
        super().__init__(name, scratch)
        self.seeds = [
            "/".join(path.name.rsplit("+", 1)).encode() + b"\n" + path.read_bytes() for path in _paths(name)
        ]

    def run(self, data: bytes) -> None:
        name, _, content = data.partition(b"\n")
        kind, _, file = name.decode().partition("/")
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        place = folder / file
        place.write_bytes(content)
        try:
            if kind == "vocabulary":
                Vocabulary.read(place)
            for part in DATA_SETS[kind].parts if kind in DATA_SETS else ():
                with suppress(FileMissingError):  # of another part
                    for _ in part.read(DataFolder(folder)):
                        pass
        finally:
            place.unlink()


CELLS = (
    *(b"", b" ", b"nan", b"inf", b"-1", b"1e999", b"1e308", b"9" * 400, b"\0", b"\r", b'"', b'"a,b"', b"\xff"),
    *(b"\xe2\x80\xa8", b"\x0c", b"../x", b"x" * 140_000, b"v_nan_1", b"v_1_inf", b"v_1_2", b"path", b"text"),
    *(b"|", b"0x1p3", b"a_b_c"),
)  # fmt: skip


def targets(scratch: Path) -> Mapping[str, Target]:
    """Every target by name; those that need a disk write below `scratch`."""
    inspect.runners = lambda manifest: iter(
        ()
    )  # asking every engine takes 9 ms and reads nothing of the input
    small = _small_members()
    manifests = [small["bundle.json"], *_files("manifest")]
    found: list[Target] = [
        ZipTarget("zip", scratch),
        LazyZipTarget("zip-lazy", scratch),
        FolderTarget("folder", scratch),
        ManifestTarget("manifest", [small["bundle.json"]]),
        InspectTarget("inspect", manifests),
        TensorsTarget("tensors"),
        BoundariesTarget("boundaries"),
        ReferenceTarget("reference"),
        TokenizerTarget("tokenizer", [small["tokenizer.json"]]),
        EventTarget("event"),
        StatesTarget("states"),
        AlertsTarget("alerts"),
        ProfileTarget("profile"),
        AnnotationsTarget("annotations", scratch),
        DataSetsTarget("data_sets", scratch),
        ConfigTarget("config"),
        GraphTarget("graph", [_graph()]),
        IrTarget("ir"),
        ProgramTarget("program"),
    ]
    return {target.name: target for target in found}


def _manifest(data: bytes) -> Manifest:
    try:
        values = parse_json(data)
    except ValueError as error:
        raise BundleError(str(error)) from error
    return Manifest.from_dict(values)


def _paths(name: str) -> list[Path]:
    return sorted((SEEDS / name).glob("*"))


def _files(name: str) -> list[bytes]:
    return [path.read_bytes() for path in _paths(name)]


def _document(data: bytes) -> Document | None:
    try:
        json.loads(data)
        return Document.of(data.decode())
    except (ValueError, RecursionError, IndexError):
        return None


def _small_members() -> dict[str, bytes]:
    """The tests' bundle with graphs of a few bytes: none is loaded."""
    with zipfile.ZipFile(BUNDLE) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in members:
        if name.endswith(".onnx"):
            members[name] = name.encode() * 4
    members["bundle.json"] = _listed(members)
    return members


def _graph() -> bytes:
    with zipfile.ZipFile(BUNDLE) as archive:
        return archive.read("x_encoder.onnx")


def _listed(members: Mapping[str, bytes]) -> bytes:
    """The manifest with sizes and hashes put right."""
    values = json.loads(members["bundle.json"])
    for name in values["files"]:
        values["files"][name] = {
            "size": len(members[name]),
            "sha256": hashlib.sha256(members[name]).hexdigest(),
        }
    return json.dumps(values).encode()


def _zip(members: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return held.getvalue()
