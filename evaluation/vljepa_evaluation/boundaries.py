"""Fits what tells the events of a stream apart: a small network on the distances of its last few embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.tasks.streams import Recording
from vljepa_runtime.selection import BoundaryNet, last_windows, pair_distances

__all__ = ["fit_boundaries", "gradients"]

SPAN_S = 4.0  # how far back the oldest window lies: two windows of two seconds
HIDDEN = (32, 16)
EPOCHS, BATCH, RATE, DECAY = 60, 256, 2e-3, 1e-4
Array = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def fit_boundaries(
    recordings: Sequence[Recording], *, stride_s: float, behind: float = 1.0, seed: int = 0
) -> BoundaryNet:
    """Learn from streams whose events are known.

    Args:
        recordings: Of one stride, or of a part of `stride_s`, of which every so many windows are taken.
        stride_s: Seconds between the windows that it will see.
        behind: Which window it speaks of: one that begins so many strides behind a boundary, give or take half a one.
        seed: Of the first weights and the order of the examples.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.boundaries import fit_boundaries
        >>> from vljepa_evaluation.tasks import Recording
        >>> starts = np.arange(0, 100, 0.5)
        >>> stream = Recording(
        ...     embeddings=np.random.default_rng(0).normal(size=(20, 32)).astype(np.float32).repeat(10, axis=0),
        ...     windows_s=np.stack([starts, starts + 2], axis=1),
        ...     events_s=np.stack([np.arange(1, 101, 5), np.arange(6, 106, 5)], axis=1),
        ...     references=(("",),) * 20,
        ... )
        >>> fit_boundaries([stream], stride_s=0.5)
        <BoundaryNet of 9 windows, 0.5 s apart>
    """
    inputs, targets = (np.concatenate(each) for each in zip(*_examples(recordings, stride_s, behind)))
    middle, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    weights, biases = _train((inputs - middle) / scale, targets, np.random.default_rng(seed))
    biases[0] = biases[0] - (middle / scale) @ weights[0]  # the net itself takes plain distances
    weights[0] = weights[0] / scale[:, None]
    return BoundaryNet(stride_s=stride_s, weights=tuple(weights), biases=tuple(biases))


def _examples(
    recordings: Sequence[Recording], stride_s: float, behind: float
) -> Iterator[tuple[Array, Array]]:
    for recording in recordings:
        here = float(np.median(np.diff(recording.windows_s[:, 0])))
        every = max(1, round(stride_s / here))
        for offset in range(every):
            rows = recording.embeddings[offset::every]
            embeddings = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            yield (
                pair_distances(last_windows(embeddings, 1 + round(SPAN_S / stride_s))),
                _targets(recording.windows_s[offset::every], recording.events_s, stride_s, behind),
            )


def _targets(
    windows_s: npt.NDArray[np.float64], events_s: npt.NDArray[np.float64], stride_s: float, behind: float
) -> Array:
    """1 where a window begins `behind` strides behind a boundary, give or take half a stride."""
    targets = np.zeros(len(windows_s), np.float32)
    for boundary in events_s[1:, 0]:
        strides = (windows_s[:, 0] - boundary) / stride_s - behind
        targets[(strides > -0.5) & (strides <= 0.5)] = 1
    return targets


def _train(inputs: Array, targets: Array, random: np.random.Generator) -> tuple[list[Array], list[Array]]:
    """Weights and biases by Adam on cross entropy (Kingma and Ba, 2015, arXiv 1412.6980)."""
    widths = (inputs.shape[1], *HIDDEN, 1)
    values = [random.normal(0, (2 / first) ** 0.5, (first, second)) for first, second in pairwise(widths)]
    values += [np.zeros(width) for width in widths[1:]]
    means, squares = ([np.zeros_like(each) for each in values] for _ in range(2))
    layers, steps = len(widths) - 1, EPOCHS * -(-len(inputs) // BATCH)
    for step, chosen in enumerate(_batches(len(inputs), random), start=1):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        for index, gradient in enumerate(gradients(values, inputs[chosen], targets[chosen])):
            means[index] += 0.1 * (gradient - means[index])
            squares[index] += 0.001 * (gradient**2 - squares[index])
            spread = np.sqrt(squares[index] / (1 - 0.999**step)) + 1e-8
            decay = DECAY * values[index] if index < layers else 0.0
            values[index] -= rate * (means[index] / (1 - 0.9**step) / spread + decay)
    trained = [np.asarray(each, np.float32) for each in values]
    return trained[:layers], trained[layers:]


def _batches(count: int, random: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    for _ in range(EPOCHS):
        order = random.permutation(count)
        yield from (order[start : start + BATCH] for start in range(0, count, BATCH))


def gradients(values: Sequence[Float64], inputs: Array, targets: Array) -> list[Float64]:
    """Of the mean cross entropy of a network with ReLU: by the weights of each layer, then by the biases.

    Args:
        values: Weights (inputs, outputs) of each layer, then biases (outputs,).
        inputs: (N, D).
        targets: (N,) 0 or 1.
    """
    layers = len(values) // 2
    weights, biases = values[:layers], values[layers:]
    seen = [np.asarray(inputs, np.float64)]
    for weight, bias in zip(weights[:-1], biases[:-1]):
        seen.append(np.maximum(seen[-1] @ weight + bias, 0))
    logits = (seen[-1] @ weights[-1] + biases[-1])[:, 0]
    error = ((1 / (1 + np.exp(-logits)) - targets) / len(targets))[:, None]
    by_weight, by_bias = list[Float64](), list[Float64]()
    for weight, values_in in zip(reversed(weights), reversed(seen)):
        by_weight.append(values_in.T @ error)
        by_bias.append(error.sum(axis=0))
        error = (error @ weight.T) * (values_in > 0)
    return by_weight[::-1] + by_bias[::-1]
