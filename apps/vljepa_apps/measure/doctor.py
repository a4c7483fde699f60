"""What runs on this machine: versions, codecs, and every engine tried with a real run: how fast, how equal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vljepa_apps import console
from vljepa_apps.measure.machine import installed, machine
from vljepa_apps.tables import WIDTH, Table, shared
from vljepa_runtime.errors import MissingExtraError, VljepaError

if TYPE_CHECKING:
    import numpy.typing as npt

    from vljepa_runtime.preprocessing import Preprocess
    from vljepa_runtime.sources import HardwareDecoder

__all__ = ["Diagnosis", "EngineTrial", "diagnose", "tables"]

RUNS = 5
PACKAGES = {  # distribution -> the extra that brings it, empty for the base install
    "vljepa-edge": "",
    "numpy": "",
    "opencv-python-headless": "",
    "av": "",
    "tokenizers": "",
    "onnxruntime": "",
    "torch": "train",
    "onnx": "export",
    "onnxscript": "export",
    "matplotlib": "apps",
    "openvino": "openvino",
    "nncf": "openvino-export",
    "coremltools": "coreml",
    "tensorrt-rtx": "tensorrt-rtx",
}
CODECS = {
    "read h264": "h264",
    "read hevc": "hevc",
    "read vp9": "vp9",
    "read av1": "libdav1d",
    "write h264": "libx264",
}
ENGINE_HEADER = ("engine", "window ms", "load ms", "cosine")
FALLBACK = ", or pass allow_fallback=True (--allow-fallback)"  # what doctor would not do


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTrial:
    """One engine, after a real run.

    Attributes:
        engine: The name that was asked for.
        runs: True when it gave an embedding.
        really: What ran, in the engine's own words.
        load_ms: Time to load the model.
        window_ms: Median time of one window's embedding.
        cosine: Against the first engine that ran.
        note: Why it does not run.
    """

    engine: str
    runs: bool
    really: str = ""
    load_ms: float | None = None
    window_ms: float | None = None
    cosine: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that was found.

    Attributes:
        machine: Interpreter, system, processor, cores.
        packages: Version of each, None where it is not installed.
        video: Whether the video library has a codec.
        hardware: Every type of device that the video library was built for, after it was tried.
        bundle: What the engines ran.
        engines: A trial for each engine that this version knows.
    """

    machine: dict[str, str]
    packages: dict[str, str | None]
    video: dict[str, bool]
    hardware: tuple[HardwareDecoder, ...]
    bundle: str
    engines: tuple[EngineTrial, ...] = ()


def diagnose(bundle: str) -> Diagnosis:
    """Look at the machine and run `bundle`, a path or shipped name, on every engine."""
    import av

    from vljepa_runtime.sources import Address, hardware_decoders

    return Diagnosis(
        machine=machine(),
        packages={name: installed(name) for name in PACKAGES},
        video={what: codec in av.codecs_available for what, codec in CODECS.items()},
        hardware=tuple(hardware_decoders()),
        bundle=bundle if os.path.exists(bundle) else str(Address(bundle)),  # a source mistaken for one
        engines=tuple(_trials(bundle)),
    )


def _trials(bundle: str) -> Iterator[EngineTrial]:
    """Try every engine in turn; a failing one is a row, not the end."""
    from vljepa_runtime.engines import engine_names

    reference: npt.NDArray[np.float32] | None = None
    names = engine_names()
    with console.Progress("trying engines", total=len(names)) as progress:
        for name in names:
            progress.advance(detail=name)
            try:
                trial, embedding = _trial(name, bundle, reference)
                reference = embedding if reference is None else reference
            except VljepaError as error:
                trial = EngineTrial(engine=name, runs=False, note=" ".join(str(error).split()))
            except Exception as error:  # a vendor's library may raise anything; the others get their turn
                note = f"{type(error).__name__}: {error}".splitlines()[0]
                trial = EngineTrial(engine=name, runs=False, note=note)
            yield trial


def _trial(
    name: str, bundle: str, reference: npt.NDArray[np.float32] | None
) -> tuple[EngineTrial, npt.NDArray[np.float32]]:
    """Load `bundle` on one engine and embed a moving pattern a few times."""
    import vljepa_runtime as vj

    begun = time.perf_counter()
    model = vj.load(bundle, engine=name)
    frames = _pattern(model.preprocess)
    embedding = model.embed(frames)  # the first run also makes the engine's own buffers
    loaded = time.perf_counter()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        model.embed(frames)
        times.append((time.perf_counter() - start) * 1000)
    trial = EngineTrial(
        engine=name,
        runs=True,
        really=model.engine_text,
        load_ms=round((loaded - begun) * 1000, 1),
        window_ms=round(float(np.median(times)), 2),
        cosine=None if reference is None else round(float(embedding @ reference), 6),
    )
    return trial, embedding


def _pattern(pre: Preprocess) -> npt.NDArray[np.uint8]:
    """A seeded window (T, size, size, 3) with motion in it."""
    still = np.random.default_rng(0).integers(0, 256, (pre.size, pre.size, 3), np.uint8)
    return np.stack([np.roll(still, 2 * step, axis=1) for step in range(pre.frames)])


def tables(found: Diagnosis) -> Iterator[Table]:
    """What was found, for people."""
    yield Table("machine", list(found.machine.items()))
    yield Table("packages", [(name, there or missing(name)) for name, there in found.packages.items()])
    yield Table("video", [(what, "yes" if there else "no") for what, there in found.video.items()])
    if found.hardware:
        yield Table("hardware decoders (--hwaccel)", _lines(map(_hardware_line, found.hardware)))
    running = [trial for trial in found.engines if trial.runs]
    absent = [trial for trial in found.engines if not trial.runs]
    if running:
        yield Table(
            f"engines that run {found.bundle}", [_engine_row(trial) for trial in running], ENGINE_HEADER
        )
        yield Table("what really runs", _lines(("", trial.really) for trial in running))
    if absent:
        yield Table("engines that do not", _lines((trial.engine, trial.note) for trial in absent))


def missing(name: str) -> str:
    """What to do about a package that is not there."""
    extra = PACKAGES[name]
    return f"not installed ({MissingExtraError.install_command(extra)})" if extra else "not installed"


def _hardware_line(decoder: HardwareDecoder) -> tuple[str, str]:
    return decoder.name, decoder.note or f"opens, for {', '.join(decoder.codecs)}"


def _engine_row(trial: EngineTrial) -> tuple[str, ...]:
    cosine = "n/a" if trial.cosine is None else f"{trial.cosine:.4f}"
    return trial.engine, f"{trial.window_ms:.2f}", f"{trial.load_ms:.0f}", cosine


def _lines(said: Iterable[tuple[str, str]]) -> list[tuple[str]]:
    """Rows of one cell that fit a page; engines of which the same is said share them."""
    plain = ((name, text.removeprefix(f"{name}: ").removesuffix(FALLBACK)) for name, text in said)
    return [(line,) for line in shared(plain, width=WIDTH - 2)]
