"""When a model decides by itself that words are wanted, and what they are worth: its own selection on streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vljepa_evaluation.metrics import Curve
from vljepa_evaluation.tasks.protocol import Evaluable
from vljepa_evaluation.tasks.selective import Sweep, curves
from vljepa_evaluation.tasks.streams import Recording
from vljepa_evaluation.tasks.task import TaskResult
from vljepa_runtime.selection import OnlineSelection, Uniform, run_policy

if TYPE_CHECKING:
    from vljepa_runtime.selection import Boundaries

__all__ = ["Decided", "measure_decisions"]

STREAMS = "streams"
PER_MINUTE, CIDER = "decodings_per_minute", "cider_d"
OWN = "as shipped"
INTERVALS_S = (1.0, 2.0, 4.0, 6.7, 10.0, 20.0)
THRESHOLDS = (0.04, 0.1, 0.2, 0.3, 0.5, 0.7)
LIMITS = (0.01, 0.05, 0.1, 0.2, 0.4, 0.8)  # of the probability of a boundary


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """What a model's own selection did.

    Attributes:
        result: The task `streams`: decodings a minute and CIDEr-D, a sample for each stream; without a Y-decoder the
            first alone.
        begins_s: When segments begin, per stream.
        curves: Quality against decodings for uniform decoding and for the model's selection at other limits, and at
            its own (`as shipped`); none without a Y-decoder.
    """

    result: TaskResult
    begins_s: tuple[tuple[float, ...], ...]
    curves: tuple[Curve, ...]


def measure_decisions(
    model: Evaluable,
    recordings: Sequence[Recording],
    query: str,
    *,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> Decided:
    """Let a model's own selection decide on recorded streams.

    Args:
        model: Gives words, and what tells events apart where it has `boundaries`; distances do without.
        recordings: What it saw.
        query: What every window was asked.
        progress: Called with the share done and the policy.

    Examples:
        >>> from vljepa_evaluation.tasks import StreamPlan, measure_decisions, record
        >>> from vljepa_runtime import load
        >>> model, plan = load("tiny"), StreamPlan(minutes=0.2)
        >>> recordings = [record(model, seed, plan, model.preprocess) for seed in (3, 4)]
        >>> found = measure_decisions(model, recordings, plan.query)
        >>> found
        Decided(result=TaskResult(task='streams', ...), begins_s=((0.0, ...), curves=...)
        >>> found.begins_s[0][:2], [curve.policy for curve in found.curves]
        ((0.0, ...), ['uniform', 'own selection', 'as shipped'])
        >>> list(found.result.metrics)
        ['decodings_per_minute', 'cider_d']
    """
    boundaries: Boundaries | None = getattr(model, "boundaries", None)
    policy = OnlineSelection().knowing(boundaries, query)
    decided = [run_policy(policy, each.observations()) for each in recordings]
    minutes = np.array([each.duration_s / 60 for each in recordings])
    values = {PER_MINUTE: np.array([len(each) for each in decided]) / minutes}
    found: tuple[Curve, ...] = ()
    if getattr(model, "has_decoder", True):
        found = curves(recordings, model.decode, swept=_swept(policy), progress=progress)
        values[CIDER] = found[-1].scores[0] / found[-1].annotations
    return Decided(
        result=TaskResult.of(
            STREAMS,
            "",
            values,
            spans=dict.fromkeys(values),
            note=f"{len(recordings)} streams of {minutes.sum():.1f} minutes in all, the model's own selection",
        ),
        begins_s=tuple(tuple(decision.start_s for decision in each) for each in decided),
        curves=found,
    )


def _swept(policy: OnlineSelection) -> Sweep:
    limits = LIMITS if policy.boundaries else THRESHOLDS
    return {
        "uniform": [(s, Uniform(s)) for s in INTERVALS_S],
        "own selection": [(limit, policy.limited(limit)) for limit in limits],
        OWN: [(0.0, policy)],
    }
