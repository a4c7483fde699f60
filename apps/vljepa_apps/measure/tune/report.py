"""What a search found: a table of all that was tried, what was chosen, and what would do where nothing does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vljepa_apps.measure.figures import new_figure, save_figure
from vljepa_apps.measure.machine import device_facts
from vljepa_apps.measure.tune.advice import nothing_keeps, possible_exports
from vljepa_apps.measure.tune.measuring import Watched
from vljepa_apps.measure.tune.search import Outcome
from vljepa_apps.measure.tune.trials import Targets, Trial
from vljepa_apps.tables import Table
from vljepa_runtime import DeviceProfile, Manifest
from vljepa_runtime.bundle import fingerprint_of

__all__ = ["Tuned", "draw", "summary", "tables"]

HEADER = ("", "engine", "tokens", "windows/s", "p95 ms", "CPU ms", "lost", "p1 cosine", "live p95", "of")
MARK = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """All of it.

    Attributes:
        outcome: What was tried.
        targets: What had to be kept.
        watched: What it was run on.
        manifests: Of the bundles, by their path.
        answers: How many different answers there were.
        engine: What really ran of the chosen one; empty where there is none.
    """

    outcome: Outcome
    targets: Targets
    watched: Watched
    manifests: Mapping[str, Manifest]
    answers: int
    engine: str = ""

    @property
    def profile(self) -> DeviceProfile | None:
        """What `run --profile` takes; None where nothing was chosen."""
        trial = self.outcome.chosen
        if trial is None:
            return None
        candidate, manifest = trial.candidate, self.manifests[trial.candidate.runtime.bundle]
        measured = {
            "windows_per_s": trial.windows_per_s,
            "p95_ms": trial.p95_ms,
            "cpu_ms": trial.cpu_ms,
            "lost_points": trial.points,
        }
        live = {} if trial.paced is None else {"live_p95_ms": trial.paced.p95_ms}
        wanted = {"fps": self.targets.fps, "max_ms": self.targets.max_ms, "max_drop": self.targets.max_drop}
        return DeviceProfile(
            bundle=manifest.name,
            fingerprint=fingerprint_of(manifest),
            device=device_facts(self.engine or candidate.runtime.engine),
            engine=candidate.runtime.engine,
            threads=candidate.runtime.threads,
            stride_s=self.watched.stride_s,
            tokens=candidate.tokens,
            carry_s=candidate.carry_s,
            decode="never" if self.watched.decode == "never" else "auto",
            wanted=wanted | {"streams": self.targets.streams},
            measured={name: round(value, 4) for name, value in (measured | live).items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        chosen = self.outcome.chosen
        return {
            "wanted": asdict(self.targets),
            "source": asdict(self.watched),
            "answers": self.answers,
            "most_exact": self.outcome.exact.to_dict(),
            "chosen": None if chosen is None else chosen.to_dict(),
            "tried": [trial.to_dict() for trial in self.outcome.trials],
            "advice": self.advice(),
        }

    def advice(self) -> list[str]:
        """Sentences: what comes nearest where nothing was chosen, and what was not tried."""
        lines = [] if self.outcome.chosen else nothing_keeps(self.outcome.trials, self.targets)
        if not self.answers:
            lines.append(
                "the source shows one thing alone, so no answers could be compared: pass --label, or a livelier "
                "--source"
            )
        elif (compared := self._compared) and 100 / compared > self.targets.max_drop:
            lines.append(
                f"{compared} windows cannot show less than {100 / compared:.2g} points: a longer --source or more "
                "--seconds tell smaller losses"
            )
        if commands := possible_exports(self.manifests):
            lines.append(f"not tried, since no such bundle was given: {'; '.join(commands)}")
        return lines

    @property
    def _compared(self) -> int:
        return max((trial.lost.windows for trial in self.outcome.trials if trial.lost), default=0)


def tables(found: Tuned) -> Iterator[Table]:
    """All that was tried, the chosen one marked."""
    bundles = {trial.candidate.runtime.bundle for trial in found.outcome.trials}
    ran = [trial for trial in found.outcome.trials if not trial.error]
    ranked = sorted(ran, key=lambda trial: (trial is not found.outcome.chosen, -trial.seconds, trial.cpu_ms))
    rows = [_row(trial, found, several=len(bundles) > 1) for trial in ranked]
    wanted = found.targets
    title = (
        f"tried (wanted: {wanted.windows_per_s:g} windows a second, p95 {wanted.max_ms:g} ms, at most "
        f"{wanted.max_drop:g} points lost)"
    )
    yield Table(title, rows, HEADER)
    if failed := [trial for trial in found.outcome.trials if trial.error]:
        yield Table("does not run", [(trial.candidate.name, trial.error) for trial in failed])


def _row(trial: Trial, found: Tuned, *, several: bool) -> tuple[str, ...]:
    candidate, lost = trial.candidate, trial.lost
    runtime = candidate.runtime
    bundle = f"{Path(runtime.bundle).name.removesuffix('.vljepa')} " if several else ""
    threads = "" if runtime.threads is None else f" x{runtime.threads}"
    carry = f", carry {candidate.carry_s:g}" if candidate.carry_s else ""
    paced = trial.paced
    live = (
        "" if paced is None else f"{paced.p95_ms:.1f}" + (f", {paced.dropped} lost" if paced.dropped else "")
    )
    return (
        MARK if trial is found.outcome.chosen else "",
        f"{bundle}{runtime.engine}{threads}",
        f"{candidate.tokens}{carry}",
        f"{trial.windows_per_s:.1f}",
        f"{trial.p95_ms:.1f}",
        f"{trial.cpu_ms:.1f}",
        f"{trial.points:.2f}",
        "n/a" if lost is None else f"{lost.cosine_p1:.4f}",
        live,
        f"{trial.seconds:.0f} s",
    )


def summary(found: Tuned) -> str:
    """One sentence of what was chosen, or that nothing was."""
    trial, wanted = found.outcome.chosen, found.targets
    if trial is None:
        return (
            f"nothing that was tried keeps {wanted.windows_per_s:g} windows a second, {wanted.max_ms:g} ms and "
            f"{wanted.max_drop:g} points"
        )
    live = "" if trial.paced is None else f", {trial.paced.p95_ms:.0f} ms live"
    return (
        f"{trial.candidate.name}: {trial.windows_per_s:.1f} windows a second, p95 {trial.p95_ms:.0f} ms{live}, "
        f"{trial.cpu_ms:.1f} ms of processor time a window, {trial.points:.2f} points lost"
    )


def draw(found: Tuned, path: Path) -> None:
    """Latency against what was lost, the chosen one marked.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure(1, width=7)
    ran = [trial for trial in found.outcome.trials if not trial.error]
    for trial in ran:
        axes.plot(trial.p95_ms, trial.points, "o", ms=5, alpha=0.4, color="tab:blue")
        axes.annotate(trial.candidate.tokens, (trial.p95_ms, trial.points), fontsize=6, alpha=0.7)
    if chosen := found.outcome.chosen:
        axes.plot(chosen.p95_ms, chosen.points, "*", ms=14, color="tab:orange", label=chosen.candidate.name)
        axes.legend(frameon=False)
    axes.axvline(found.targets.max_ms, color="0.7", lw=0.8)
    axes.axhline(found.targets.max_drop, color="0.7", lw=0.8)
    axes.set(xscale="log", xlabel="p95 from a window's last frame to its events, ms", ylabel="points lost")
    axes.grid(alpha=0.2)
    save_figure(figure, path)
