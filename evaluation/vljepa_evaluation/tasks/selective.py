"""Selective decoding on long streams: every policy swept over its settings, its words scored against the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from vljepa_evaluation.metrics import CiderD, Curve, match_annotations
from vljepa_evaluation.tasks.known_events import KnownEvents
from vljepa_evaluation.tasks.protocol import Float32
from vljepa_evaluation.tasks.streams import Recording
from vljepa_runtime.selection import (
    BoundaryNet,
    OfflineSelection,
    OfflineWard,
    OnlineSelection,
    Policy,
    Uniform,
    run_policy,
)

__all__ = ["Sweep", "curves", "policies"]

INTERVALS_S = (0.5, 1.0, 1.5, 2.0, 2.85, 4.0, 5.0, 6.7, 10.0, 13.3, 20.0, 50.0)
POOLED_S = INTERVALS_S[1:]  # with a window every half second, pooling half a second pools nothing
THRESHOLDS = (0.01, 0.02, 0.03, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

BOUNDARIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)

Maker = Callable[[Recording], Policy]
"""Gives the policy of one stream: where it knows the truth, or was fitted to others."""
Learned = Callable[..., Policy]
"""Makes a policy of `boundaries` and a `boundary`."""
Sweep = Mapping[str, Sequence[tuple[float, Policy | Maker]]]
"""Per family of policies: (setting, policy)."""


def policies(net: Callable[[Recording], BoundaryNet] | None = None) -> Sweep:
    """Every policy measured, with its settings.

    Args:
        net: Gives the network that tells a stream's events apart, fitted to others; None leaves it out.
    """
    fixed: Sweep = {
        "uniform": [(s, Uniform(s)) for s in INTERVALS_S],
        "uniform, pooled": [(s, Uniform(s, pooling="mean")) for s in POOLED_S],
        "ward": [(60 / s, OfflineWard(per_minute=60 / s, pooling="midpoint")) for s in INTERVALS_S],
        "ward, pooled": [(60 / s, OfflineWard(per_minute=60 / s, pooling="mean")) for s in POOLED_S],
        "online": [(t, OnlineSelection(threshold=t)) for t in THRESHOLDS],
        "events known": [(1.0, KnownEvents.of)],
    }
    if net is None:
        return fixed
    learned: dict[str, Learned] = {
        "online, network": OnlineSelection,
        "online, network, at once": partial(OnlineSelection, confirm=False),
        "offline, network": OfflineSelection,
    }
    swept = {name: [(b, _learned(kind, net, b)) for b in BOUNDARIES] for name, kind in learned.items()}
    return {**fixed, **swept}


def _learned(kind: Learned, net: Callable[[Recording], BoundaryNet], boundary: float) -> Maker:
    return lambda recording: kind(boundaries=(net(recording),), boundary=boundary)


def curves(
    recordings: Sequence[Recording],
    decode: Callable[[Float32], str],
    *,
    swept: Sweep | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> tuple[Curve, ...]:
    """Run every policy over every stream and score what it would have said.

    Args:
        recordings: The streams.
        decode: Embedding (S,) -> text; equal embeddings are decoded once.
        swept: Policies with their settings; `policies()` when None.
        progress: Called with the share done and the policy.
    """
    swept = policies() if swept is None else swept
    scorer = CiderD([texts for recording in recordings for texts in recording.references])
    known: dict[bytes, str] = {}

    def words(z: Float32) -> str:
        key = z.tobytes()
        if key not in known:
            known[key] = decode(z)
        return known[key]

    total, done, result = sum(map(len, swept.values())), 0, []
    for name, settings in swept.items():
        rows = []
        for _, policy in settings:
            progress(done / total, name)
            chosen = [(policy(each) if callable(policy) else policy, each) for each in recordings]
            rows.append([_measure(one, recording, words, scorer) for one, recording in chosen])
            done += 1
        counts, scores = np.moveaxis(np.array(rows, np.float64), -1, 0)
        annotations = np.array([len(recording.references) for recording in recordings], np.float64)
        minutes = np.array([recording.duration_s / 60 for recording in recordings])
        result.append(Curve(name, tuple(s for s, _ in settings), scores, counts, annotations, minutes))
    return tuple(result)


def _measure(
    policy: Policy, recording: Recording, words: Callable[[Float32], str], scorer: CiderD
) -> tuple[int, float]:
    """Decodings made, and the sum over annotations of the nearest output's score."""
    decisions = run_policy(policy, recording.observations())
    if not decisions:
        return 0, 0.0
    texts = [words(decision.embedding) for decision in decisions]
    times_s = np.array([decision.time_s for decision in decisions])
    pairs = zip(match_annotations(times_s, recording.annotations).tolist(), recording.references)
    return len(decisions), sum(scorer.score(texts[index], references) for index, references in pairs)
