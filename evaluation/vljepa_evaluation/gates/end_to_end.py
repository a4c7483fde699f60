"""A bundle beside the float model from frames to words: on drawn scenes, and on footage that a reference carries."""

from __future__ import annotations

from dataclasses import dataclass

from vljepa_evaluation.gates.agreement import Agreement, compare_behaviours
from vljepa_evaluation.gates.behaviour import Progress, Scenes, record_behaviour
from vljepa_evaluation.gates.limits import Limits, misses
from vljepa_evaluation.gates.reference import Reference
from vljepa_evaluation.gates.usage import FloatUsage
from vljepa_evaluation.gates.usage_agreement import UsageAgreement, compare_usages
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import Engine
from vljepa_runtime.errors import VljepaError
from vljepa_runtime.model import Model

__all__ = ["EndToEnd", "compare_end_to_end"]

USAGE_SHARE = 0.4  # of the work, as a progress line shows it, where scenes follow
GRAPHS_ONLY = "the reference holds graphs only, so nothing was compared end to end"
OLDER = (
    "the reference is older than the comparison on recorded footage, so words and questions were not compared"
)
OTHER_PIXELS = (
    "this machine or version, or an edit of bundle.json, gives other pixels of the scenes than the reference saw, so "
    "nothing was compared end to end: pass --against FP32_BUNDLE to make a reference here"
)
FOOTAGE_ALONE = (
    "this machine or version draws the scenes with other pixels than the reference saw, so the bundle was judged on "
    "the recorded footage alone"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEnd:
    """What was found.

    Attributes:
        agreement: On the scenes; None when they were not compared.
        usage: On the footage; None when there is none, or nothing in it can be compared.
        misses: Gates missed, and what is not as it was recorded, in words.
        unjudged: What should have been compared and was not, with the reason.
        note: What was left out, and why that is no fault.
    """

    agreement: Agreement | None = None
    usage: UsageAgreement | None = None
    misses: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    note: str = ""


def compare_end_to_end(
    bundle: Bundle, engine: Engine, reference: Reference, limits: Limits, progress: Progress
) -> EndToEnd:
    """Do what the float model did, and compare.

    Scenes are drawn anew, so a machine may draw them with other pixels than the float model saw, and so does an edit
    of the manifest that changes windows. The footage tells these apart: its pixels are in the reference.

    Args:
        bundle: The one to judge.
        engine: Runs it.
        reference: What the float model did.
        limits: Of the bundle as a whole.
        progress: Called with the share done, 0..1.
    """
    scenes, wanted = reference.scenes, reference.behaviour
    if scenes is None or wanted is None:
        return EndToEnd(note=GRAPHS_ONLY)
    model = Model(bundle, engine)
    share = USAGE_SHARE if reference.usage else 0.0
    try:
        usage, missed = _compare_usage(model, reference.usage, scenes, limits)
    except VljepaError as error:  # nothing else can be run either, and the sentence says what is wrong
        return EndToEnd(misses=(str(error),))
    if usage and misses(limits.picture_gates(usage)):
        return EndToEnd(usage=usage, misses=missed)
    progress(share)
    seen = record_behaviour(
        model, model.preprocess, scenes, lambda done: progress(share + (1 - share) * done)
    )
    if seen.checksum == wanted.checksum:
        agreement = compare_behaviours(wanted, seen)
        missed = (*misses(limits.bundle_gates(agreement)), *missed)
        return EndToEnd(agreement=agreement, usage=usage, misses=missed, note="" if usage else OLDER)
    if usage is None:
        return EndToEnd(unjudged=(OTHER_PIXELS,))
    return EndToEnd(usage=usage, misses=missed, note=FOOTAGE_ALONE)


def _compare_usage(
    model: Model, recorded: FloatUsage | None, scenes: Scenes, limits: Limits
) -> tuple[UsageAgreement | None, tuple[str, ...]]:
    """What was found on the footage, and what is missed there; None without footage."""
    if recorded is None:
        return None, ()
    usage = compare_usages(recorded.usage, recorded.again(model, scenes))
    cut = misses(limits.picture_gates(usage))
    cut = tuple(f"{miss}: bundle.json says otherwise how frames become windows" for miss in cut)
    return usage, (*cut, *misses(limits.usage_gates(usage)))
