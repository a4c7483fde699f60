"""What the demo says at the end: a few lines for people, one object for programs, one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vljepa_apps.demo.timeline import Timeline
from vljepa_apps.demo.truth import Agreement, Truth
from vljepa_apps.demo.watch import STRIDE_S, Viewing

__all__ = ["Report"]

INFERENCE = ("encode", "predict", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of the demo.

    Attributes:
        bundle: Name of the bundle.
        engine: What really ran.
        source: Name of the source.
        seed: Of the procedural stream; None with a source of the user's.
        window_s: Length of a window.
        watched: The run.
        truth: What was to be seen, when known.
        agreement: How well it was told, when the truth is known.
        outputs: Files written, by what they are.
    """

    bundle: str
    engine: str
    source: str
    seed: int | None
    window_s: float
    watched: Viewing
    truth: Truth | None
    agreement: Agreement | None
    outputs: Mapping[str, Path]

    @property
    def uniform_1hz(self) -> int:
        """Decodings that one per second would have cost."""
        return max(1, round(self.watched.seconds))

    @property
    def savings(self) -> str:
        """One sentence about the decodings."""
        stats = self.watched.stats
        every = f"{stats.windows} for every window ({_saved(stats.decodings, stats.windows)})"
        hertz = f"{self.uniform_1hz} at 1 Hz ({_saved(stats.decodings, self.uniform_1hz)})"
        plural = "" if stats.decodings == 1 else "s"
        return f"{stats.decodings} decoding{plural} instead of {every}, or of {hertz}"

    @property
    def told(self) -> str:
        """One sentence about the events; empty without truth."""
        if (seen := self.agreement) is None:
            return ""
        share = seen.exactly / seen.events if seen.events else 0.0
        counts = f"{seen.exactly} told exactly ({share:.0%}), {seen.partly} partly, {seen.missed} wrongly"
        return f"{seen.events} true events: {counts}; CIDEr {seen.cider:.2f} of 10"

    @property
    def speed(self) -> str:
        """One sentence about the time of a window and of a decoding."""
        latency = self.watched.stats.latency
        parts = [
            f"{name} {latency[name].p50_ms:.1f} ms"
            for name in ("encode", "predict", "decode")
            if name in latency
        ]
        return f"{self.bundle} on {self.engine}, medians: {', '.join(parts)}"

    def lines(self) -> list[str]:
        """The summary for people."""
        files = [f"{name:<9} {path}" for name, path in self.outputs.items()]
        return [line for line in (self.savings, self.told, self.speed) if line] + ["", *files]

    def to_dict(self) -> dict[str, Any]:
        """The object for programs."""
        stats, seen = self.watched.stats, self.agreement
        return {
            "bundle": self.bundle,
            "engine": self.engine,
            "source": self.source,
            "seed": self.seed,
            "seconds": round(self.watched.seconds, 3),
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
                    "start_s": told.start_s,
                    "end_s": told.end_s,
                    "written_s": round(told.written_s, 3),
                    "text": told.text,
                    "true_text": told.true_text or None,
                    "match": told.mark.value or None,
                }
                for told in self.watched.told
            ],
            "truth": None if self.truth is None else [_plain(event) for event in self.truth.events],
            "outputs": {name: str(path) for name, path in self.outputs.items()},
        }

    def timeline(self) -> Timeline:
        """What the picture shows."""
        watched = self.watched
        kind = "a procedural stream it has never seen" if self.truth else self.source
        windows = range(watched.stats.windows)
        return Timeline(
            title=f"{self.bundle} watching {kind}",
            notes=[line for line in (self.told, self.savings) if line],
            seconds=watched.seconds,
            truth=self.truth.bars if self.truth else (),
            decoded=watched.bars,
            decodings_s=[told.written_s for told in watched.told],
            windows_s=[min(self.window_s + number * STRIDE_S, watched.seconds) for number in windows],
            picture=watched.pictures.nearest,
        )


def _plain(event: Any) -> dict[str, Any]:
    return {"start_s": event.start_s, "end_s": event.end_s, "text": event.captions[0]}


def _share(decodings: int, others: int) -> float:
    return round(1 - decodings / others, 4) if others else 0.0


def _saved(decodings: int, others: int) -> str:
    share = _share(decodings, others)
    return f"{share:.0%} saved" if share >= 0 else f"{-share:.0%} more"
