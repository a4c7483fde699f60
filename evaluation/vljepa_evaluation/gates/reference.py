"""What the float model gave: inputs and outputs per graph, and its behaviour. A bundle carries it as one file.

`recorder.py` makes one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy.typing as npt

from vljepa_evaluation.gates.behaviour import Behaviour, Scenes
from vljepa_evaluation.gates.novelty import NoveltyEntry, NoveltyRecord
from vljepa_evaluation.gates.repeat import Repeat
from vljepa_evaluation.gates.repeat_entry import RepeatEntry
from vljepa_evaluation.gates.sample import Sample
from vljepa_evaluation.gates.seal import Seal
from vljepa_evaluation.gates.usage import FloatUsage
from vljepa_evaluation.gates.usage_entry import UsageEntry
from vljepa_evaluation.gates.verdict import Judgement
from vljepa_runtime.bundle import Bundle, Manifest
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files import AtMost, parse_json, plain, read_record
from vljepa_runtime.files.tensors import pack, unpack
from vljepa_runtime.files.values import Name, shown

__all__ = ["REFERENCE_FILE", "Reference", "judge_seal"]

REFERENCE_FILE = "reference.safetensors"
MAX_BYTES = 1 << 30  # read as a whole; a model of 2,048 tokens and 8 layers of cache records some 100 MB
MAX_CALLS = 1 << 16  # of a graph, read; of more than the next, the first are run
MAX_SAMPLES = 64  # per graph, each of which is run; an export records two
BEHAVIOUR = ("embeddings", "ranks", "labels", "triggers_s")
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What to compare with.

    Attributes:
        samples: Per graph its inputs, and what the float model gave for them.
        scenes: What was shown; None when only graphs were recorded.
        behaviour: What the float model did with them.
        repeat: What the bundle's own graphs gave at export; None in older references, or where nothing ran them.
        usage: What the float model did for a user, with the footage; None in older references.
        novelty: How far footage and probes are from what the bundle knows; None where it was not calibrated.
        seal: What the manifest said that it was made with; None in older references.
    """

    samples: Mapping[str, tuple[Sample, ...]]
    scenes: Scenes | None = None
    behaviour: Behaviour | None = None
    repeat: Repeat | None = None
    usage: FloatUsage | None = None
    novelty: NoveltyRecord | None = None
    seal: Seal | None = None

    @property
    def graphs_alone(self) -> Reference:
        """The same without what is compared end to end."""
        return replace(self, scenes=None, behaviour=None, usage=None, novelty=None)

    def sealed(self, manifest: Manifest) -> Reference:
        """The same with the seal of the manifest that it will lie beside.

        Args:
            manifest: Complete, with its files.
        """
        return replace(self, seal=Seal.of(_beside(manifest)))

    def judge_seal(self, manifest: Manifest) -> Judgement:
        """Whether a manifest says what the one said that this was made with."""
        if self.seal is None:
            return Judgement(name="seal", absent="the reference is older than its seal")
        fault = self.seal.fault(_beside(manifest))
        return Judgement(name="seal", misses=(fault,) if fault else ())

    def to_bytes(self) -> bytes:
        """One file; an array that is one graph's output and another's input is stored once."""
        store, seen = _Store(), None
        samples = {name: tuple(map(store.call, group)) for name, group in self.samples.items()}
        if self.scenes is not None and self.behaviour is not None:
            arrays = {name: store.add(getattr(self.behaviour, name)) for name in BEHAVIOUR}
            seen = _Seen(checksum=self.behaviour.checksum, **arrays)
        contents = _Contents(
            samples=samples,
            scenes=self.scenes if seen else None,
            behaviour=seen,
            usage=UsageEntry.of(self.usage, store.add) if seen and self.usage else None,
            repeat=RepeatEntry.of(self.repeat, store.add) if self.repeat else None,
            novelty=NoveltyEntry.of(self.novelty, store.add) if self.novelty else None,
            seal=self.seal,
        )
        texts = {name: json.dumps(value) for name, value in plain(contents).items() if value is not None}
        return pack(store.arrays, texts)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = REFERENCE_FILE) -> Reference:
        """Read what `to_bytes` wrote.

        Raises:
            BundleError: it is something else.
        """
        try:
            arrays, metadata = unpack(data)
        except ValueError as error:
            raise BundleError(
                f"{where} holds no readable tensors ({str(error)[:200]}): download or export the bundle again"
            ) from error
        try:
            found = {name: parse_json(text) for name, text in metadata.items()}
            contents = read_record(_Contents, found, "reference", error=InputError)
            samples = {
                name: tuple(call.sample(arrays) for call in group[:MAX_SAMPLES])
                for name, group in contents.samples.items()
            }
            behaviour = contents.behaviour.behaviour(arrays) if contents.behaviour else None
            repeat = contents.repeat.read(arrays) if contents.repeat else None
            usage = contents.usage.read(arrays) if contents.usage else None
            novelty = contents.novelty.read(arrays) if contents.novelty else None
        except (ValueError, KeyError) as error:
            raise BundleError(
                f"{where} is not a reference of this version ({shown(str(error))}): export the bundle again"
            ) from error
        return cls(
            samples=samples,
            scenes=contents.scenes,
            behaviour=behaviour,
            usage=usage,
            repeat=repeat,
            novelty=novelty,
            seal=contents.seal,
        )

    @classmethod
    def of(cls, bundle: Bundle) -> Reference:
        """The reference that a bundle carries.

        Raises:
            BundleError: it carries none, or something else.
        """
        if REFERENCE_FILE not in bundle.manifest.files:
            raise BundleError(
                f"{bundle.name} carries no {REFERENCE_FILE}: export it again, or compare it with its fp32 bundle "
                "(vljepa verify BUNDLE --against FP32_BUNDLE)"
            )
        size = bundle.manifest.files[REFERENCE_FILE].size
        if size > MAX_BYTES:
            raise BundleError(
                f"{REFERENCE_FILE}: expected at most {MAX_BYTES} bytes, got {size}: export it again"
            )
        return cls.from_bytes(bundle.read(REFERENCE_FILE))


def judge_seal(bundle: Bundle) -> Judgement:
    """Whether a bundle's manifest says what it said when the bundle was judged.

    Raises:
        BundleError: its reference is something else.

    Examples:
        >>> from vljepa_evaluation.gates import judge_seal
        >>> from vljepa_runtime import Bundle
        >>> judge_seal(Bundle.open("tiny")).misses
        ()
    """
    if REFERENCE_FILE not in bundle.manifest.files:
        return Judgement(name="seal", absent=f"the bundle carries no {REFERENCE_FILE}")
    return Reference.of(bundle).judge_seal(bundle.manifest)


def _beside(manifest: Manifest) -> Manifest:
    """All but the reference itself, which holds the seal and cannot hold its own digest."""
    return replace(
        manifest, files={name: spec for name, spec in manifest.files.items() if name != REFERENCE_FILE}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Names of the arrays of a sample."""

    feeds: Mapping[Name, Name]
    outputs: tuple[Name, ...]

    def sample(self, arrays: Mapping[str, Array]) -> Sample:
        return Sample(
            feeds={key: arrays[name] for key, name in self.feeds.items()},
            outputs=tuple(arrays[name] for name in self.outputs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Names of the arrays of a behaviour."""

    embeddings: Name
    ranks: Name
    labels: Name
    triggers_s: Name
    checksum: int

    def behaviour(self, arrays: Mapping[str, Array]) -> Behaviour:
        seen: dict[str, Any] = {name: arrays[getattr(self, name)] for name in BEHAVIOUR}
        return Behaviour(checksum=self.checksum, **seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """The texts of a reference, which say what its arrays are."""

    samples: Mapping[Name, Annotated[tuple[_Call, ...], AtMost(MAX_CALLS)]]
    scenes: Scenes | None = None
    behaviour: _Seen | None = None
    repeat: RepeatEntry | None = None
    usage: UsageEntry | None = None
    novelty: NoveltyEntry | None = None
    seal: Seal | None = None

    def __post_init__(self) -> None:
        if (self.scenes is None) != (self.behaviour is None) or (self.usage and self.scenes is None):
            raise InputError("expected scenes, behaviour and usage together, got some of them")


class _Store:
    """Arrays by a short name, each content once."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def call(self, sample: Sample) -> _Call:
        """Take in what a sample holds."""
        feeds = {key: self.add(value) for key, value in sample.feeds.items()}
        return _Call(feeds=feeds, outputs=tuple(map(self.add, sample.outputs)))

    def add(self, array: Array) -> str:
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = f"t{len(self._names)}"
            self.arrays[self._names[key]] = array
        return self._names[key]
