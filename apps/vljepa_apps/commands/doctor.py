"""`vljepa doctor`: versions, and every engine tried with a real run: what runs, how fast, how equal."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from vljepa_apps import arguments, console
from vljepa_runtime.errors import VljepaError

if TYPE_CHECKING:
    import numpy.typing as npt

    from vljepa_runtime.patches import Preprocess

RUNS = 5
PACKAGES = {  # distribution -> the extra that brings it, empty for the base install
    "vljepa-edge": "",
    "numpy": "",
    "opencv-python-headless": "",
    "av": "",
    "tokenizers": "",
    "onnxruntime": "",
    "torch": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxscript": "export",
    "matplotlib": "apps",
    "psutil": "apps",
    "openvino": "openvino",
    "nncf": "openvino-export",
    "coremltools": "coreml",
    "tensorrt-rtx": "tensorrt-rtx",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
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
class Report:
    """Everything that `doctor` found."""

    machine: dict[str, str]
    packages: dict[str, str | None]
    video: dict[str, bool]
    bundle: str
    engines: tuple[EngineReport, ...] = field(default=())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser, optional=True)
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the report; exit code 1 when no engine runs."""
    report = examine(args.bundle)
    if args.json:
        console.document(asdict(report), indent=2)
    else:
        console.result("\n\n".join(sections(report)))
    return 0 if any(engine.runs for engine in report.engines) else 1


def examine(bundle: str) -> Report:
    """Look at the machine and run `bundle` on every engine this version knows."""
    from vljepa_runtime.sources import Address

    return Report(
        machine=machine(),
        packages={name: installed(name) for name in PACKAGES},
        video=video(),
        bundle=bundle if os.path.exists(bundle) else str(Address(bundle)),  # a source mistaken for one
        engines=tuple(engines(bundle)),
    )


def machine() -> dict[str, str]:
    """Interpreter, system and cores."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
    }


def cpu_name() -> str:
    """The processor as the kernel names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (
                line.partition(":")[2].strip() for line in file if line.startswith(("model name", "Model"))
            )
            return next(names, "") or platform.processor() or "n/a"
    except OSError:
        return platform.processor() or "n/a"


def installed(distribution: str) -> str | None:
    """Version of a distribution, None when it is not there."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def video() -> dict[str, bool]:
    """Which codecs the video library has."""
    import av

    wanted = {
        "read h264": "h264",
        "read hevc": "hevc",
        "read vp9": "vp9",
        "read av1": "libdav1d",
        "write h264": "libx264",
    }
    return {what: codec in av.codecs_available for what, codec in wanted.items()}


def engines(bundle: str) -> Iterator[EngineReport]:
    """Try every engine in turn; a failing one is a row, not the end."""
    from vljepa_runtime.engines import engine_names

    reference: npt.NDArray[np.float32] | None = None
    names = engine_names()
    with console.Progress("trying engines", total=len(names)) as progress:
        for name in names:
            progress.advance(detail=name)
            report, embedding = try_engine(name, bundle, reference)
            reference = embedding if reference is None else reference
            yield report


def try_engine(
    name: str, bundle: str, reference: npt.NDArray[np.float32] | None
) -> tuple[EngineReport, npt.NDArray[np.float32] | None]:
    """Load `bundle` on one engine and embed a moving pattern a few times."""
    import vljepa_runtime as vj

    try:
        begun = time.perf_counter()
        model = vj.load(bundle, engine=name)
        frames = pattern(model.preprocess)
        embedding = model.embed(frames)  # the first run also makes the engine's own buffers
        loaded = time.perf_counter()
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            model.embed(frames)
            times.append((time.perf_counter() - start) * 1000)
    except VljepaError as error:
        return EngineReport(engine=name, runs=False, note=" ".join(str(error).split())), None
    except (
        Exception
    ) as error:  # a vendor's library may raise anything; the other engines still get their turn
        return EngineReport(
            engine=name, runs=False, note=f"{type(error).__name__}: {error}".splitlines()[0]
        ), None
    report = EngineReport(
        engine=name,
        runs=True,
        really=model.engine_text,
        load_ms=round((loaded - begun) * 1000, 1),
        window_ms=round(float(np.median(times)), 2),
        cosine=None if reference is None else round(float(embedding @ reference), 6),
    )
    return report, embedding


def pattern(pre: Preprocess) -> npt.NDArray[np.uint8]:
    """A seeded window (T, size, size, 3) with motion in it."""
    still = np.random.default_rng(0).integers(0, 256, (pre.size, pre.size, 3), np.uint8)
    return np.stack([np.roll(still, 2 * step, axis=1) for step in range(pre.frames)])


def sections(report: Report) -> Iterator[str]:
    """The printed parts, each a titled block."""
    yield "machine\n" + console.table(list(report.machine.items()))
    packages = [(name, found or missing(name)) for name, found in report.packages.items()]
    yield "packages\n" + console.table(packages)
    yield "video\n" + console.table(
        [(what, "yes" if there else "no") for what, there in report.video.items()]
    )
    header = ("engine", "runs", "window ms", "load ms", "cosine", "what really runs")
    yield f"engines, each with {report.bundle}\n" + console.table(
        list(map(engine_row, report.engines)), header=header
    )


def missing(name: str) -> str:
    """What to do about a package that is not there."""
    extra = PACKAGES[name]
    return f"not installed (pip install 'vljepa-edge[{extra}]')" if extra else "not installed"


def engine_row(engine: EngineReport) -> tuple[str, ...]:
    """One line of the table of engines."""
    if not engine.runs:
        return engine.engine, "no", "n/a", "n/a", "n/a", engine.note.removeprefix(f"{engine.engine}: ")
    cosine = "n/a" if engine.cosine is None else f"{engine.cosine:.4f}"
    return engine.engine, "yes", f"{engine.window_ms:.2f}", f"{engine.load_ms:.0f}", cosine, engine.really
