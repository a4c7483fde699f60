"""How what tells events apart is fitted: gradients against torch's, and whether it finds events it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.boundaries import fit_boundaries, gradients
from vljepa_evaluation.tasks import Recording
from vljepa_runtime.selection import OnlineSelection, run_policy

WIDTH, WINDOW_S = 24, 2.0


def recording(seed: int, *, stride_s: float = 0.5, events: int = 30) -> Recording:
    """Events that drift as they go on; what overlaps two of them is a mixture; noise."""
    random = np.random.default_rng(seed)
    ends = np.cumsum(random.uniform(2.6, 8, events))
    spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    meanings, drifts = random.normal(size=(2, events, WIDTH))
    fine = np.arange(0, ends[-1], 0.1)
    which = np.minimum(np.searchsorted(ends, fine, side="right"), events - 1)
    states = meanings[which] + 0.05 * drifts[which] * (fine - spans[which, 0])[:, None]
    starts = np.arange(0, ends[-1] - WINDOW_S, stride_s)
    rows = [states[(fine >= start) & (fine < start + WINDOW_S)].mean(axis=0) for start in starts]
    noisy = np.array(rows) + 0.1 * random.normal(size=(len(rows), WIDTH))
    return Recording(
        embeddings=np.asarray(noisy, np.float32),
        windows_s=np.stack([starts, starts + WINDOW_S], axis=1),
        events_s=spans,
        references=tuple((f"event {number}",) for number in range(events)),
    )


def test_gradients_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    values = [random.normal(size=shape) for shape in ((6, 5), (5, 4), (4, 1), (5,), (4,), (1,))]
    inputs, targets = random.normal(size=(9, 6)), (np.arange(9) % 2).astype(float)
    theirs = [torch.tensor(each, requires_grad=True) for each in values]
    hidden = torch.tensor(inputs)
    for layer in range(3):
        hidden = hidden @ theirs[layer] + theirs[3 + layer]
        hidden = torch.relu(hidden) if layer < 2 else hidden
    torch.nn.functional.binary_cross_entropy_with_logits(hidden[:, 0], torch.tensor(targets)).backward()
    ours = gradients(values, inputs, targets)
    for got, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, wanted.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("stride_s", [0.5, 1.0])
def test_events_of_streams_that_it_never_saw_are_found(stride_s: float) -> None:
    net = fit_boundaries([recording(seed) for seed in range(6)], stride_s=stride_s)
    assert net.fits(stride_s)
    found = missed = spurious = 0
    for seed in range(100, 104):
        unseen = recording(seed, stride_s=stride_s)
        told = run_policy(OnlineSelection(boundaries=(net,), boundary=0.5), unseen.observations())
        near = np.abs(np.array([each.start_s for each in told])[:, None] - unseen.events_s[:, 0]) <= 1.0
        found += int(near.any(axis=0).sum())
        missed += int((~near.any(axis=0)).sum())
        spurious += int((~near.any(axis=1)).sum())
    assert missed <= 0.05 * (found + missed)
    assert spurious <= 0.05 * (found + missed)


@pytest.mark.parametrize("behind", [1.0, -0.5])
def test_a_net_speaks_of_the_windows_that_it_was_fitted_to(behind: float) -> None:
    net = fit_boundaries([recording(seed) for seed in range(4)], stride_s=0.5, behind=behind)
    unseen = recording(100)
    rows = unseen.embeddings / np.linalg.norm(unseen.embeddings, axis=1, keepdims=True)
    chances, starts = net.along(rows), unseen.windows_s[:, 0]
    away = []
    for begins_s in unseen.events_s[1:, 0]:
        near = np.flatnonzero(np.abs(starts - begins_s) < 1.3)
        if len(near):
            away.append((starts[near[chances[near].argmax()]] - begins_s) / 0.5)
    assert abs(float(np.median(away)) - behind) <= 0.5


def test_the_same_streams_give_the_same_net() -> None:
    one, other = (fit_boundaries([recording(0)], stride_s=0.5) for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(one.weights, other.weights))
