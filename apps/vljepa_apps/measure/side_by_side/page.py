"""What was measured side by side as a page of the documentation, and as tables for a terminal. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vljepa_apps import tables
from vljepa_apps.measure.latency import times_faster
from vljepa_apps.measure.peers.worker import WINDOW
from vljepa_apps.measure.side_by_side.report import REFERENCE
from vljepa_apps.tables import Table
from vljepa_runtime.contract import GRAPH_NAMES, PREDICTOR, X_ENCODER

if TYPE_CHECKING:
    from vljepa_apps.measure.bench import Benchmark
    from vljepa_apps.measure.latency import Latency
    from vljepa_apps.measure.side_by_side.report import Line, SideBySide, Workplace
    from vljepa_evaluation.metrics import Estimate
    from vljepa_runtime import SessionStats

__all__ = ["page", "side_tables"]

NONE = "n/a"
BUSY = 0.5  # load average for each core, above which a measurement is disturbed
LEFT_OUT = {
    "cuda": "This machine shows no GPU of NVIDIA: lines on CUDA were left out.",
    "bf16": "Its processor has no instructions for bfloat16: lines in that type were left out, those in float32 stay.",
}
LEAST_PAIRS = 6  # of rounds; the median of fewer has no 95 % interval
SHORT = ("checkpoint", "fastest of ours", "fastest of the others", "ours, times as fast")
SUMMARY = ("line", "window ms", "middle half", "times torch fp32", "share of ceiling", "cosine")
COSTS = ("line", "to the first embedding, s", "peak memory, MB", "J a window", "what ran")


@dataclass(frozen=True, slots=True)
class Part:
    """A heading, what stands below it, and tables."""

    title: str
    text: str
    tables: tuple[Table, ...] = ()


def side_tables(found: SideBySide) -> Iterator[Table]:
    """All tables, for a terminal."""
    yield Table("in short", list(_fastest(found)), SHORT)
    for place in found.places:
        yield Table(f"{place.title}: a window", list(_windows(place, found)), SUMMARY)
        yield Table(f"{place.title}: stages, ms", list(_stages(place, found)), _stage_header(place))
        yield Table(f"{place.title}: costs", list(_costs(place)), COSTS)
    yield Table("ceilings of products", list(_ceilings(found)), ("type", "10^9 operations/s", "library"))
    if missing := list(_missing(found)):
        yield Table("not measured", missing, ("line", "why, and what brings it"))


def page(found: SideBySide, stream: Benchmark, *, picture: str = "") -> str:
    """The page in Markdown.

    Args:
        found: What was measured side by side.
        stream: The bundle on a stream.
        picture: Address of the picture, as seen from the page.
    """
    parts = [_text(INTRODUCTION).format(command=_wrapped(found.command), minutes=f"{found.seconds / 60:.0f}")]
    parts.append(_machine(found))
    if picture:
        parts.append(f"![A window of each line, times as fast as torch eager in float32]({picture})")
    for part in (
        _in_short(found),
        *_places(found),
        _streams(found, stream),
        _ceiling(found),
        _left_out(found),
    ):
        parts += [f"## {part.title}", _text(part.text), *(_titled(table) for table in part.tables)]
    return "\n\n".join(filter(None, parts)) + "\n"


INTRODUCTION = """# Performance

This page is what one command writes, text and numbers, and nothing in it is edited:

{command}

It took {minutes} minutes. Every line is the same networks with the same weights on the same windows, in a process of
its own; the processes take turns, in an order drawn anew for each pair of rounds, so that whatever slows the machine
down slows all of them. A short run is made twice and timed once, the first one takes back cores and caches. Times are
medians, with the middle half of the runs beside them; ratios are medians over pairs of rounds, with 95 % intervals
where there are enough of them.

- **Ours** are bundles of this project's exporter, run by its runtime through `Model.embed`: the interface that a
  program uses, looked at and checked as always.
- **Peers** get the modules that are exported, without any pass, recipe or setting of this project: `torch.onnx.export`
  and ONNX Runtime as anyone would call them, OpenVINO's converter told what a window's sizes are, `nncf.quantize` with
  its defaults. `torch.compile` compiles what runs for a window.
- **A window** is frames in, embedding out: fitting, cutting, X-encoder, predictor. The predictor is asked the caption
  prompt.
- **Share of ceiling** is the time that the window's products would take at the speed that this machine reaches with
  the best library for each type (the last table), against the time that the window took. Softmax, norms and all that is
  no product count as lost. Operations are counted by torch: two for a multiplication and an addition.
- **Cosine** is the worst over the windows, of the embedding with that of float32."""


def _in_short(found: SideBySide) -> Part:
    return Part("In short", "", (Table("", list(_fastest(found)), SHORT),))


def _fastest(found: SideBySide) -> Iterator[tuple[str, ...]]:
    for place in found.places:
        mine, peer = place.fastest(ours=True), place.fastest(ours=False)
        ratio = times_faster(peer.latency[WINDOW], mine.latency[WINDOW]) if mine and peer else None
        yield place.title, _told(mine), _told(peer), _ratio(ratio)


def _told(line: Line | None) -> str:
    if line is None:
        return NONE
    return (
        f"{line.peer.title}: {_ms(line.latency[WINDOW].p50_ms)} ms, cosine {_or_none(line.cosine, '{:.4f}')}"
    )


def _places(found: SideBySide) -> Iterator[Part]:
    for place in found.places:
        counted = [place.operations[graph] for graph in (X_ENCODER, PREDICTOR)]
        products, attention = (
            sum(getattr(each, kind) for each in counted) for kind in ("products", "attention")
        )
        text = (
            f"A window of {place.tokens:,} tokens takes {1e-9 * (products + attention):,.1f} x 10^9 operations, "
            f"{1e-9 * attention:,.1f} of them inside attention."
        )
        shown = (
            Table("A window", list(_windows(place, found)), SUMMARY),
            Table(
                "Stages: milliseconds, and the share of the ceiling",
                list(_stages(place, found)),
                _stage_header(place),
            ),
            Table("Start, memory, energy", list(_costs(place)), COSTS),
        )
        yield Part(place.title, text, shown)


def _windows(place: Workplace, found: SideBySide) -> Iterator[tuple[str, ...]]:
    for line in _run(place):
        latency = line.latency.get(WINDOW)
        if latency is None or latency.error:
            yield line.peer.title, f"failed: {latency.error if latency else NONE}"[:80], "", "", "", ""
            continue
        faster = "1" if line.peer.name == REFERENCE else _ratio(place.faster(line))
        cosine = NONE if line.cosine is None else f"{line.cosine:.5f}"
        yield (
            line.peer.title,
            _ms(latency.p50_ms),
            f"{_ms(latency.low_ms)}-{_ms(latency.high_ms)}",
            faster,
            _share(place.share(line, found.best)),
            cosine,
        )


def _stage_header(place: Workplace) -> tuple[str, ...]:
    return ("line", *_graphs(place))


def _graphs(place: Workplace) -> list[str]:
    return [graph for graph in GRAPH_NAMES if graph in place.operations]


def _stages(place: Workplace, found: SideBySide) -> Iterator[tuple[str, ...]]:
    for line in _run(place):
        shares = (place.share(line, found.best, graph) for graph in _graphs(place))
        stages = (_stage(line.latency.get(graph)) for graph in _graphs(place))
        both = (f"{stage}, {_share(share)}" if share else stage for stage, share in zip(stages, shares))
        yield (line.peer.title, *both)


def _stage(latency: Latency | None) -> str:
    if latency is None:
        return ""
    if latency.error:
        return "failed"
    return f"{_ms(latency.p50_ms)} ({_ms(latency.low_ms)}-{_ms(latency.high_ms)})"


def _costs(place: Workplace) -> Iterator[tuple[str, ...]]:
    for line in _run(place):
        yield (
            line.peer.title,
            _or_none(line.cold_start_s, "{:.1f}"),
            _or_none(line.peak_rss_mb, "{:.0f}"),
            _or_none(line.joules, "{:.2f}"),
            line.detail,
        )


def _streams(found: SideBySide, stream: Benchmark) -> Part:
    """The bundle on a stream, and the fastest of ours wherever it had one."""
    from vljepa_apps.measure.bench import stage_table

    others = [(place, line.stream) for place in found.places for line in place.lines if line.stream]
    told = [
        "`vljepa run` on H.264 files of the procedural world. Overhead is neither inference nor waiting for the video.",
        f"- `{stream.bundle}` on `{stream.engine}`: {_streamed(stream.stream)}",
        *(f"- {place.title}, the fastest of ours: {_streamed(stats)}" for place, stats in others),
    ]
    tables = (replace(stage_table(stats), title=place.title) for place, stats in others)
    return Part(
        "A stream",
        f"{told[0]}\n\n" + "\n".join(told[1:]),
        (replace(stage_table(stream.stream), title=stream.bundle), *tables),
    )


def _streamed(stats: SessionStats) -> str:
    return (
        f"{stats.media_s:.0f} s, {stats.windows} windows, {stats.decodings} decodings, "
        f"{stats.media_s / max(stats.busy_s, 1e-9):.3g} times real time; overhead {100 * stats.overhead:.1f} % of the "
        f"time, {100 * stats.overhead_with_capture:.1f} % with that waiting."
    )


def _ceiling(found: SideBySide) -> Part:
    text = (
        "Products of two matrices, 2,048 x 2,048 x 2,048 and 2,048 x 1,024 x 4,096, of which the faster counts; int8 "
        "is what a library takes for it: unsigned with signed numbers but in torch, float32 quantised on the way in "
        "OpenVINO."
    )
    header = ("type", "10^9 operations a second", "library")
    return Part("Ceilings", text, (Table("", list(_ceilings(found)), header),))


def _ceilings(found: SideBySide) -> Iterator[tuple[str, ...]]:
    best = found.best
    for each in sorted(found.ceilings, key=lambda each: (each.device, each.kind, -each.gops)):
        most = "**" if best[each.device, each.kind] is each else ""
        kind = each.kind if each.device == "cpu" else f"{each.kind}, {each.device}"
        yield kind, f"{most}{each.gops:.0f}{most}", each.library


def _left_out(found: SideBySide) -> Part:
    text = " ".join(sentence for need, sentence in LEFT_OUT.items() if need not in found.able)
    missing = list(_missing(found))
    shown = (Table("", missing, ("line", "why, and what brings it")),) if missing else ()
    return Part("Not measured", text, shown)


def _missing(found: SideBySide) -> Iterator[tuple[str, ...]]:
    for place in found.places:
        for line in place.lines:
            if line.missing:
                yield f"{line.peer.title} ({place.title})", line.missing


def _run(place: Workplace) -> list[Line]:
    return [line for line in place.lines if not line.missing]


def _machine(found: SideBySide) -> str:
    held = found.machine
    versions = ("vljepa-edge", "numpy", "onnxruntime", "torch", "openvino", "nncf")
    told = ", ".join(f"{name} {held[name]}" for name in versions)
    busy = float(held["load"]) > BUSY * int(held["cores"])
    disturbed = " **Other work had the cores too: these numbers say little of this machine.**" if busy else ""
    return _text(
        f"Measured on {held['date']} at commit {held['commit'] or NONE}: {held['cpu']}, {held['cores']} cores, "
        f"{held['system']}, Python {held['python']}, {told}; load average {held['load']} when it began.{disturbed}"
    )


def _titled(table: Table) -> str:
    """A table under its title in bold."""
    body = tables.markdown([table]).partition("\n\n")[2]
    return f"**{table.title}**\n\n{body}" if table.title else body


def _text(text: str, width: int = 140) -> str:
    """Prose in lines that pages take, lists and blocks kept."""
    from textwrap import fill

    def block(part: str) -> str:
        if part.startswith(("#", "    ", "{")):
            return part
        if part.startswith("- "):
            points = ("- " + " ".join(point.split()) for point in f"\n{part}".split("\n- ")[1:])
            return "\n".join(
                fill(point, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
                for point in points
            )
        return fill(" ".join(part.split()), width, break_long_words=False, break_on_hyphens=False)

    return "\n\n".join(block(part) for part in text.split("\n\n"))


def _wrapped(command: str) -> str:
    """A command as an indented block."""
    from textwrap import wrap

    return " \\\n        ".join(wrap(f"    {command}", 130, break_on_hyphens=False))


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(ratio: Estimate | None) -> str:
    if ratio is None:
        return NONE
    if ratio.n < LEAST_PAIRS:
        return f"{ratio.value:.2f}"
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %"


def _or_none(value: float | None, form: str) -> str:
    return NONE if value is None else form.format(value)
