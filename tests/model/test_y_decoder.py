"""The Y-decoder: the cache gives what teacher forcing gives."""

from __future__ import annotations

import torch

from vljepa_model.config import ModelConfig
from vljepa_model.vl_jepa import VLJEPA


def test_steps_equal_teacher_forcing(model: VLJEPA, config: ModelConfig) -> None:
    torch.manual_seed(5)
    embedding, ids = torch.randn(3, 12), torch.randint(3, 50, (3, 7))
    with torch.no_grad():
        expected = model.y_decoder(embedding, ids)
        logits, past_k, past_v = model.y_decoder.prefill(embedding)
        got = [logits]
        for i in range(ids.shape[1] - 1):
            logits, past_k, past_v = model.y_decoder.step(ids[:, i : i + 1], past_k, past_v)
            got.append(logits)
    torch.testing.assert_close(torch.stack(got, dim=1), expected, atol=1e-5, rtol=1e-5)
    assert len(past_k) == len(past_v) == config.y_decoder.stack.depth
    assert past_k[0].shape == (3, 2, config.y_decoder.prefix + 1 + 6, 4)


def test_no_position_sees_its_own_token(model: VLJEPA) -> None:
    torch.manual_seed(5)
    embedding, ids = torch.randn(1, 12), torch.randint(3, 49, (1, 6))
    changed = ids.clone()
    changed[:, 3] += 1
    before, after = model.y_decoder(embedding, ids), model.y_decoder(embedding, changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().amax(dim=(0, 2)).min() > 1e-4


def test_the_embedding_matters(model: VLJEPA) -> None:
    first, second = torch.randn(1, 12), torch.randn(1, 12)
    assert (model.y_decoder.prefill(first)[0] - model.y_decoder.prefill(second)[0]).abs().max() > 1e-3
