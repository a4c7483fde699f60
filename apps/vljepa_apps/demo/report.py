"""What the demo says at the end: a few lines for people, one object for programs, one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.demo.ground_truth import Agreement, GroundTruth
from vljepa_apps.demo.run import DemoRun
from vljepa_apps.demo.timeline import Timeline, draw_timeline, save_png
from vljepa_runtime.files import replace_file
from vljepa_runtime.printable import json_text

if TYPE_CHECKING:
    from vljepa_runtime import Model

__all__ = ["DemoReport"]

INFERENCE = ("encode", "predict", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """One run of the demo.

    Attributes:
        bundle: Its name.
        engine: What really ran.
        source: Its name, without secrets.
        seed: Made the procedural stream; None with a source of the user's.
        window_s: Length of a window.
        run: The decodings, counts and pictures.
        truth: What was to be seen, when known.
        agreement: How well the decodings describe the truth, when that is known.
        outputs: Files written, by what they are.
    """

    bundle: str
    engine: str
    source: str
    seed: int | None
    window_s: float
    run: DemoRun
    truth: GroundTruth | None
    agreement: Agreement | None
    outputs: Mapping[str, Path]

    @classmethod
    def of(
        cls,
        model: Model,
        run: DemoRun,
        truth: GroundTruth | None,
        *,
        source: str,
        seed: int | None,
        outputs: Mapping[str, Path],
    ) -> DemoReport:
        """The report of a run, the decodings judged."""
        texts, times = [each.text for each in run.decodings], [each.time_s for each in run.decodings]
        return cls(
            bundle=model.bundle.name,
            engine=model.engine_name,
            source=source,
            seed=seed,
            window_s=model.preprocess.seconds,
            run=run,
            truth=truth,
            agreement=truth.agreement(texts, times) if truth else None,
            outputs=outputs,
        )

    @property
    def uniform_1hz(self) -> int:
        """Decodings that one per second would have cost."""
        return max(1, round(self.run.seconds))

    @property
    def savings(self) -> str:
        """One sentence about the decodings."""
        stats = self.run.stats
        every = f"{stats.windows} for every window ({_saved(stats.decodings, stats.windows)})"
        hertz = f"{self.uniform_1hz} at 1 Hz ({_saved(stats.decodings, self.uniform_1hz)})"
        plural = "" if stats.decodings == 1 else "s"
        return f"{stats.decodings} decoding{plural} instead of {every}, or of {hertz}"

    @property
    def accuracy(self) -> str:
        """One sentence about the events; empty without truth."""
        if (seen := self.agreement) is None:
            return ""
        share = seen.exactly / seen.events if seen.events else 0.0
        counts = f"{seen.exactly} told exactly ({share:.0%}), {seen.partly} partly, {seen.missed} wrongly"
        return f"{seen.events} true events: {counts}; CIDEr {seen.cider:.2f} of 10"

    @property
    def speed(self) -> str:
        """One sentence about the time of a window and of a decoding."""
        latency = self.run.stats.latency
        parts = [f"{name} {latency[name].p50_ms:.1f} ms" for name in INFERENCE if name in latency]
        return f"{self.bundle} on {self.engine}, medians: {', '.join(parts)}"

    def lines(self) -> list[str]:
        """The summary for people."""
        files = [f"{name:<9} {path}" for name, path in self.outputs.items()]
        return [line for line in (self.savings, self.accuracy, self.speed) if line] + ["", *files]

    def to_dict(self) -> dict[str, Any]:
        """The object for programs."""
        stats, seen = self.run.stats, self.agreement
        return {
            "bundle": self.bundle,
            "engine": self.engine,
            "source": self.source,
            "seed": self.seed,
            "seconds": round(self.run.seconds, 3),
            "windows": stats.windows,
            "decodings": stats.decodings,
            "uniform_1hz_decodings": self.uniform_1hz,
            "saved_against_every_window": _share(stats.decodings, stats.windows),
            "saved_against_1hz": _share(stats.decodings, self.uniform_1hz),
            "agreement": None if seen is None else {**asdict(seen), "missed": seen.missed},
            "latency_ms": {
                name: {"p50": round(stage.p50_ms, 3), "p95": round(stage.p95_ms, 3)}
                for name, stage in stats.latency.items()
                if name in INFERENCE
            },
            "events": [
                {
                    "start_s": decoding.start_s,
                    "end_s": decoding.end_s,
                    "written_s": round(decoding.written_s, 3),
                    "text": decoding.text,
                    "unknown": decoding.unknown,
                    "true_text": decoding.true_text or None,
                    "match": decoding.match.value or None,
                }
                for decoding in self.run.decodings
            ],
            "truth": None if self.truth is None else [_plain(event) for event in self.truth.events],
            "outputs": {name: str(path) for name, path in self.outputs.items()},
        }

    def timeline(self) -> Timeline:
        """What the picture shows."""
        run = self.run
        kind = "a procedural stream it has never seen" if self.truth else self.source
        windows = range(run.stats.windows)
        return Timeline(
            title=f"{self.bundle} watching {kind}",
            notes=[line for line in (self.accuracy, self.savings) if line],
            seconds=run.seconds,
            truth=self.truth.bars if self.truth else (),
            decoded=run.bars,
            decodings_s=[each.written_s for each in run.decodings if not each.unknown],
            windows_s=[min(self.window_s + number * run.stride_s, run.seconds) for number in windows],
            picture=run.thumbnails.nearest,
        )

    def write(self) -> None:
        """Write the picture and the object to their files."""
        save_png(draw_timeline(self.timeline()), self.outputs["timeline"])
        replace_file(self.outputs["report"], (json_text(self.to_dict(), indent=2) + "\n").encode())


def _plain(event: Any) -> dict[str, Any]:
    return {"start_s": event.start_s, "end_s": event.end_s, "text": event.captions[0]}


def _share(decodings: int, others: int) -> float:
    return round(1 - decodings / others, 4) if others else 0.0


def _saved(decodings: int, others: int) -> str:
    share = _share(decodings, others)
    return f"{share:.0%} saved" if share >= 0 else f"{-share:.0%} more"
