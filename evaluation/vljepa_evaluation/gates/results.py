"""The gates applied: a bundle on an engine against a reference, with what it misses in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from vljepa_evaluation.gates.agreement import Agreement
from vljepa_evaluation.gates.behaviour import Progress
from vljepa_evaluation.gates.end_to_end import EndToEnd, compare_end_to_end
from vljepa_evaluation.gates.limits import OF_TEXTS, Limits, misses
from vljepa_evaluation.gates.novelty import judge_novelty
from vljepa_evaluation.gates.parity import GraphParity, compare_outputs
from vljepa_evaluation.gates.reference import Reference
from vljepa_evaluation.gates.repeat import judge_repeat
from vljepa_evaluation.gates.sample import Sample, cast
from vljepa_evaluation.gates.usage_agreement import UsageAgreement
from vljepa_evaluation.gates.verdict import Judgement, Verdict, verdict_of
from vljepa_evaluation.gates.worst import end_to_end_gates, near_misses, worst_agreement, worst_parity
from vljepa_runtime.bundle import Bundle, Parity
from vljepa_runtime.contract import Y_ENCODER
from vljepa_runtime.engines import Engine, describe
from vljepa_runtime.errors import InputError, VljepaError
from vljepa_runtime.model import Model

__all__ = ["GateResults", "GraphResult", "check_gates"]

GRAPHS_SHARE = 0.1  # of the work, as a progress line shows it, where scenes follow


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphResult:
    """One graph against the reference.

    Attributes:
        name: The graph's, as the contract has it.
        precision: As the manifest labels it; it decides the limits.
        parity: None when the reference has no inputs that fit it.
        misses: Gates that it does not keep, in words.
        worst: The parity with what was measured where it was exported, where that is worse.
        near: Gates that come near their limit there, in words.
    """

    name: str
    precision: str
    parity: GraphParity | None
    misses: tuple[str, ...]
    worst: GraphParity | None = None
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResults:
    """A bundle against its reference.

    Attributes:
        engine: What really ran, in full.
        graphs: The results of each graph.
        agreement: End to end on drawn scenes; None when it was not measured.
        usage: End to end on recorded footage; None when it was not measured.
        misses: Gates missed end to end, in words.
        note: Why something was not measured; empty when all was.
        gates: End to end per gate: what was measured here, the worst that ever was, and the limit.
        near: Gates that come near their limit, end to end, in words.
        judgements: The distance to the float model, and what else the bundle was asked.
    """

    engine: str
    graphs: tuple[GraphResult, ...]
    agreement: Agreement | None
    usage: UsageAgreement | None = None
    misses: tuple[str, ...]
    note: str = ""
    gates: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    near: tuple[str, ...] = ()
    judgements: tuple[Judgement, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What all judgements come to together."""
        return verdict_of(self.judgements)

    @property
    def passed(self) -> bool:
        """Whether all that the reference can judge was judged, and kept."""
        return bool(self.verdict)

    @property
    def misses_by_graph(self) -> dict[str, tuple[str, ...]]:
        """What each graph misses on its own, also end to end; graphs that miss nothing are left out."""
        found = {graph.name: graph.misses for graph in self.graphs}
        if Y_ENCODER in found and OF_TEXTS in self.gates:
            value, _, limit = self.gates[OF_TEXTS]
            found[Y_ENCODER] += misses({OF_TEXTS: (value, limit)})
        return {name: missed for name, missed in found.items() if missed}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        judgements = [each.to_dict() for each in self.judgements]
        return {
            "verdict": self.verdict.value,
            "passed": self.passed,
            **asdict(self),
            "usage": self.usage and self.usage.to_dict(),
            "judgements": judgements,
        }


def check_gates(
    bundle: Bundle,
    engine: Engine,
    reference: Reference,
    *,
    limits: Callable[[str], Limits],
    progress: Progress | None = None,
) -> GateResults:
    """Apply every gate to a bundle.

    Args:
        bundle: The one to judge.
        engine: Runs the bundle.
        reference: What the float model gave.
        limits: What a precision, as the manifest names it, may cost.
        progress: Called with the share done, 0..1.

    Examples:
        >>> from vljepa_evaluation.gates import EIGHT_BIT, Reference, check_gates
        >>> from vljepa_runtime import Bundle, open_engine
        >>> bundle, engine = Bundle.open("tiny"), open_engine("onnxruntime")
        >>> reference = Reference.of(bundle)
        >>> graphs_alone = Reference(samples=reference.samples)  # its scenes would take some seconds
        >>> results = check_gates(bundle, engine, graphs_alone, limits=lambda precision: EIGHT_BIT)
        >>> results
        GateResults(engine='onnxruntime...', graphs=(GraphResult(name='x_encoder', precision='int8-dynamic', ...
        >>> results.passed, results.note
        (True, 'the reference holds graphs only, so nothing was compared end to end')
    """
    labels = {name: bundle.manifest.precision.get(name, "fp32") for name in bundle.manifest.graphs}
    allowed = {name: limits(label) for name, label in labels.items()}
    report = progress or (lambda share: None)
    share = 1.0 if reference.scenes is None or reference.behaviour is None else GRAPHS_SHARE
    graphs = []
    for name, label in labels.items():
        made = _graph(bundle, engine, name, label, allowed[name], reference.samples.get(name, ()))
        graphs.append(_with_worst(made, bundle.manifest.parity.get(name), allowed[name]))
        report(share * len(graphs) / len(labels))
    loosest = Limits.loosest(allowed.values())
    found = compare_end_to_end(
        bundle, engine, reference, loosest, lambda done: report(share + (1 - share) * done)
    )
    gates = _gates(found, bundle.manifest.gates, loosest)
    return GateResults(
        engine=describe(engine),
        graphs=tuple(graphs),
        agreement=found.agreement,
        usage=found.usage,
        misses=found.misses,
        note=found.note,
        gates=gates,
        near=near_misses({name: (worst, limit) for name, (_, worst, limit) in gates.items()}),
        judgements=(
            _distance(graphs, found),
            judge_repeat(bundle, engine, reference.repeat),
            _novelty(bundle, engine, reference),
            reference.judge_seal(bundle.manifest),
        ),
    )


def _novelty(bundle: Bundle, engine: Engine, reference: Reference) -> Judgement:
    """Whether it still tells what it knows from what it does not; a bundle that nothing runs has missed elsewhere."""
    footage = reference.usage.footage if reference.usage else None
    try:
        return judge_novelty(Model(bundle, engine), reference.novelty, footage)
    except VljepaError as error:
        return Judgement(name="novelty", misses=(str(error),) if reference.novelty else ())


def _with_worst(graph: GraphResult, told: Parity | None, limits: Limits) -> GraphResult:
    if graph.parity is None:
        return graph
    worst = worst_parity(graph.parity, told)
    return replace(graph, worst=worst, near=near_misses(limits.graph_gates(worst)))


def _gates(
    found: EndToEnd, told: Mapping[str, float], limits: Limits
) -> dict[str, tuple[float, float, float]]:
    """Per gate end to end what was measured here, the worst that ever was, and the limit."""
    worst = end_to_end_gates(
        limits,
        found.agreement and worst_agreement(found.agreement, told),
        found.usage and worst_agreement(found.usage, told),
    )
    here = end_to_end_gates(limits, found.agreement, found.usage)
    return {name: (value, worst[name][0], limit) for name, (value, limit) in here.items()}


def _distance(graphs: Sequence[GraphResult], found: EndToEnd) -> Judgement:
    """How far the bundle is from the float model, as one judgement."""
    missed = [f"{graph.name}: {miss}" for graph in graphs for miss in graph.misses]
    unmeasured = [graph.name for graph in graphs if graph.parity is None and not graph.misses]
    left = (f"the reference has no inputs that {', '.join(unmeasured)} take",) if unmeasured else ()
    return Judgement(name="distance", misses=(*missed, *found.misses), unjudged=(*left, *found.unjudged))


def _graph(
    bundle: Bundle, engine: Engine, name: str, label: str, limits: Limits, samples: Iterable[Sample]
) -> GraphResult:
    graph = engine.load(bundle, name)
    wanted, got = [], []
    for sample in samples:
        feeds = cast(sample.feeds, graph.inputs)
        try:
            results = graph.run(feeds)
        except InputError:
            continue  # the bundle takes other sizes than this sample has
        wanted.append(sample.outputs)
        got.append(tuple(np.asarray(results[spec.name]) for spec in graph.outputs))
    if not got:
        return GraphResult(name=name, precision=label, parity=None, misses=())
    for mine, theirs in zip(got, wanted):
        if [a.shape for a in mine] != [b.shape for b in theirs]:
            shapes = f"expected outputs {[b.shape for b in theirs]}, got {[a.shape for a in mine]}"
            return GraphResult(name=name, precision=label, parity=None, misses=(shapes,))
    parity = compare_outputs(wanted, got)
    return GraphResult(name=name, precision=label, parity=parity, misses=misses(limits.graph_gates(parity)))
