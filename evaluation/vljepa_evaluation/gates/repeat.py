"""Does an engine compute the graph? What the exported graphs themselves gave at export, to be given again.

To the bit where engine, version and CPU are those of the record and every way to compute it there gave the same bits;
else as nearly as the ways that were tried at export are to each other. The distance to float plays no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.gates.environment import Environment
from vljepa_evaluation.gates.probes import Feeds, calls, probes_of
from vljepa_evaluation.gates.sample import Sample
from vljepa_evaluation.gates.sketches import digest_of, row_distances, sketch
from vljepa_evaluation.gates.verdict import Judgement
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import Engine, Graph
from vljepa_runtime.errors import VljepaError

__all__ = ["Answer", "Probe", "Repeat", "Spread", "judge_repeat", "record_repeat"]

SPREADS = 4.0  # of what was measured at export
WORDS = 1024
# What a type alone may cost, as a share of a row's length. A device without a type computes in float32.
FLOORS = {"f32": 3e-6, "f16": 2e-3, "bf16": 2e-2}
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far ways to compute a graph are apart that are as right as each other, as shares of a row's length.

    Attributes:
        median: Of the usual row; None where no such way was tried.
        worst: Of the worst row.
        exact: Whether there was another way to compute the same files, and all gave the same bits.
    """

    median: float | None = None
    worst: float | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a graph gave for a probe.

    Attributes:
        digests: Of the bits of all outputs, per call.
        rows: (R, 1 + SKETCHED), sketches of the rows of all calls; of a batch or of several calls, of their first
            output alone.
    """

    digests: tuple[str, ...]
    rows: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """What a graph was asked, see `probes.py`, and what it gave."""

    feeds: Feeds
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeat:
    """What the graphs of a bundle gave on one engine.

    Attributes:
        environment: Where that was.
        probes: Per graph.
        spreads: Per graph.
    """

    environment: Environment
    probes: Mapping[str, tuple[Probe, ...]]
    spreads: Mapping[str, Spread]


def record_repeat(
    bundle: Bundle,
    engine: Engine,
    samples: Mapping[str, Sequence[Sample]],
    *,
    ways: Sequence[tuple[Bundle, Engine]] = (),
    words: int = WORDS,
) -> Repeat:
    """Ask the graphs of a bundle, and measure how far other ways to compute them are from that.

    Args:
        bundle: Whose graphs are run.
        engine: Runs them; what it gives is recorded.
        samples: Of the reference.
        ways: Others: the same bundle on another number of threads, or one whose constants differ by a rounding.
        words: Most words of the vocabulary that are shown to each graph that takes some.

    Examples:
        >>> from vljepa_evaluation.gates import Reference, judge_repeat, record_repeat
        >>> from vljepa_runtime import Bundle, open_engine
        >>> bundle, engine = Bundle.open("tiny"), open_engine("onnxruntime:cpu", threads=1)
        >>> samples = Reference.of(bundle).samples
        >>> other = open_engine("onnxruntime:cpu", threads=2)
        >>> recorded = record_repeat(bundle, engine, samples, ways=[(bundle, other)])
        >>> recorded
        Repeat(environment=Environment(family='onnxruntime:cpu', ...), probes={'x_encoder': ...
        >>> recorded.spreads["predictor"].exact
        True
        >>> judge_repeat(bundle, other, recorded).verdict
        <Verdict.KEPT: 'kept'>
    """
    probes, spreads = {}, {}
    for name, asked in probes_of(bundle, samples, words=words).items():
        graph = engine.load(bundle, name)
        probes[name] = tuple(_probes(graph, asked))
        found = [_answers(other.load(held, name), probes[name]) for held, other in ways]
        same = [answers for (held, _), answers in zip(ways, found) if held is bundle]
        alike = [answers for (held, _), answers in zip(ways, found) if held is not bundle]
        spreads[name] = _spread([probe.answer for probe in probes[name]], same, alike)
    return Repeat(environment=Environment.of(engine), probes=probes, spreads=spreads)


def judge_repeat(bundle: Bundle, engine: Engine, recorded: Repeat | None) -> Judgement:
    """Ask the graphs of a bundle again.

    Args:
        bundle: The one to judge.
        engine: Runs it; of another family than the record's it has nothing to repeat.
        recorded: Of the bundle's reference.
    """
    if recorded is None:
        return Judgement(name="repeat", absent="the reference holds no outputs of the bundle's own graphs")
    family = recorded.environment.family
    if engine.name.partition(" ")[0] != family:
        return Judgement(name="repeat", absent=f"its graphs' outputs were recorded on {family} alone")
    graphs = {name: engine.load(bundle, name) for name in bundle.manifest.graphs}
    here = Environment.of(engine)
    misses, unjudged = [], []
    for name, graph in graphs.items():
        wrong, why = _judge(bundle, graph, recorded, here)
        misses += [f"{name}: {miss}" for miss in wrong]
        unjudged += [f"{name}: {why}"] if why else []
    return Judgement(name="repeat", misses=tuple(misses), unjudged=tuple(unjudged))


def _judge(bundle: Bundle, graph: Graph, recorded: Repeat, here: Environment) -> tuple[tuple[str, ...], str]:
    """What is wrong with one graph, or why that is not known."""
    probes = recorded.probes.get(graph.name, ())
    if not probes:
        return (), "nothing was recorded of it"
    answers = _again(graph, probes)
    if isinstance(answers, str):
        return (answers,), ""
    spread = recorded.spreads[graph.name]
    if here == recorded.environment and spread.exact:
        return tuple(_other_bits(probes, answers)), ""
    eight = "int8" in bundle.manifest.precision.get(graph.name, "")
    if eight and here.saturates != recorded.environment.saturates:
        return (), "one of this CPU and the exporter's cuts off sums of 8-bit products"
    if spread.median is None or spread.worst is None:
        return (), "recorded with another version or CPU, and not how far those may be apart"
    floor = FLOORS[bundle.manifest.execution.get(graph.name, "f32")]
    return tuple(_too_far(probes, answers, (spread.median, spread.worst), floor)), ""


def _probes(graph: Graph, asked: Sequence[Feeds]) -> Iterator[Probe]:
    """What a graph can be asked: one of fixed sizes, or of fewer words than its tokenizer has, refuses the rest."""
    for feeds in asked:
        try:
            yield Probe(feeds=feeds, answer=_answer(graph, feeds))
        except VljepaError:
            continue


def _again(graph: Graph, probes: Sequence[Probe]) -> list[Answer] | str:
    """The answers, or why there are none."""
    try:
        answers = _answers(graph, probes)
    except VljepaError as error:
        return f"gave an answer at export, and here {error}"
    alike = all(probe.answer.rows.shape == answer.rows.shape for probe, answer in zip(probes, answers))
    return answers if alike else "gives outputs of other shapes than at export"


def _answers(graph: Graph, probes: Sequence[Probe]) -> list[Answer]:
    return [_answer(graph, probe.feeds) for probe in probes]


def _answer(graph: Graph, feeds: Feeds) -> Answer:
    every = list(calls(graph, feeds))
    alone = len(every) == len(every[0][0]) == 1
    kept = every[0] if alone else [outputs[0] for outputs in every]
    return Answer(
        digests=tuple(map(digest_of, every)), rows=np.concatenate([sketch(array) for array in kept])
    )


def _spread(wanted: Sequence[Answer], same: Sequence[list[Answer]], alike: Sequence[list[Answer]]) -> Spread:
    """From what the same files gave in other ways, and files that are as right."""
    apart = [_distances(wanted, answers) for answers in alike if wanted]
    return Spread(
        median=max((float(np.median(each)) for each in apart), default=None),
        worst=max((float(each.max()) for each in apart), default=None),
        exact=bool(same)
        and all(one.digests == other.digests for answers in same for one, other in zip(wanted, answers)),
    )


def _distances(wanted: Sequence[Answer], got: Sequence[Answer]) -> npt.NDArray[np.float64]:
    return np.concatenate([row_distances(one.rows, other.rows) for one, other in zip(wanted, got)])


def _other_bits(probes: Sequence[Probe], answers: Sequence[Answer]) -> Iterator[str]:
    pairs = [
        (one, other)
        for probe, answer in zip(probes, answers)
        for one, other in zip(probe.answer.digests, answer.digests, strict=True)
    ]
    if differ := sum(one != other for one, other in pairs):
        median, worst = _apart(probes, answers)
        yield (
            f"expected the very bits that this engine gave on such a CPU at export, got others in {differ} of "
            f"{len(pairs)} calls ({median:.2g} of a row's length apart, at worst {worst:.2g})"
        )


def _too_far(
    probes: Sequence[Probe], answers: Sequence[Answer], spread: tuple[float, float], floor: float
) -> Iterator[str]:
    for what, value, measured in zip(("usual", "worst"), _apart(probes, answers), spread):
        limit = SPREADS * max(measured, floor)
        if not value <= limit:
            yield (
                f"expected the {what} row within {limit:.2g} of its length of what the graph gave at export, "
                f"got {value:.2g}"
            )


def _apart(probes: Sequence[Probe], answers: Sequence[Answer]) -> tuple[float, float]:
    apart = _distances([probe.answer for probe in probes], answers)
    return float(np.median(apart)), float(apart.max())
