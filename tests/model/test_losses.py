"""Losses against loops written out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from vljepa_model.losses import decoder_loss, info_nce


def info_nce_by_hand(
    prediction: torch.Tensor, target: torch.Tensor, temperature: float, left: list[int], right: list[int]
) -> float:
    count = len(prediction)
    total = 0.0
    for i in range(count):
        own = math.exp(float(prediction[i] @ target[i]) / temperature)
        wrong_texts = sum(
            math.exp(float(prediction[i] @ target[j]) / temperature)
            for j in range(len(target))
            if j != i and right[j] != left[i]
        )
        wrong_videos = sum(
            math.exp(float(prediction[j] @ target[i]) / temperature)
            for j in range(count)
            if j != i and left[j] != right[i]
        )
        total += -math.log(own / (own + wrong_texts)) - math.log(own / (own + wrong_videos))
    return total / (2 * count)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 1, 0, 3], [0, 1, 0, 3]),
        ([0, 1, 2, 3], [0, 1, 2, 3, 9, 8, 7]),
        ([5, 5, 5, 5], [5, 5, 5, 5, 5, 6]),
    ],
    ids=["plain", "false negatives", "extra texts", "one real negative"],
)
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_info_nce(left: list[int], right: list[int], temperature: float) -> None:
    torch.manual_seed(len(right))
    prediction = F.normalize(torch.randn(len(left), 6, dtype=torch.float64), dim=1)
    target = F.normalize(torch.randn(len(right), 6, dtype=torch.float64), dim=1)
    got = info_nce(
        prediction.float(),
        target.float(),
        torch.tensor(math.log(temperature)),
        torch.tensor(left),
        torch.tensor(right),
    )
    assert got.item() == pytest.approx(
        info_nce_by_hand(prediction, target, temperature, left, right), rel=1e-4
    )


def test_info_nce_gradient_is_finite_and_temperature_is_bounded() -> None:
    vectors = F.normalize(torch.randn(3, 6), dim=1).requires_grad_()
    log_temperature = torch.tensor(-9.0)
    keys = torch.tensor([0, 0, 1])
    loss = info_nce(vectors, vectors, log_temperature, keys, keys)
    loss.backward()
    assert vectors.grad is not None
    assert bool(vectors.grad.isfinite().all())
    assert torch.equal(loss, info_nce(vectors, vectors, torch.tensor(-5.0), keys, keys))


def test_decoder_loss_leaves_padding_out() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5)
    ids = torch.tensor([[1, 4, 2], [3, 2, 0]], dtype=torch.int32)
    rows = logits.log_softmax(dim=-1)
    by_hand = [-rows[b, i, ids[b, i]].item() for b in range(2) for i in range(3) if ids[b, i] != 0]
    assert decoder_loss(logits, ids, 0).item() == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)
