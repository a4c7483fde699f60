"""The four networks together: shapes, padding, gradients under autocast, and tracing with torch.export."""

from __future__ import annotations

import pytest
import torch

from vljepa_model.config import ModelConfig
from vljepa_model.losses import decoder_loss, info_nce
from vljepa_model.vl_jepa import VLJEPA


def padded(length: int, real: int, rows: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(real)
    ids = torch.randint(3, 50, (rows, length), dtype=torch.int32)
    mask = torch.zeros(rows, length, dtype=torch.int32)
    mask[:, :real] = 1
    return ids * mask, mask


def test_predictor_ignores_padding(model: VLJEPA) -> None:
    visual = torch.randn(2, 9, 32)
    ids, mask = padded(12, 5)
    ids_of_noise = torch.where(mask.bool(), ids, torch.full_like(ids, 7))
    short = model.predictor(visual, ids[:, :5], mask[:, :5])
    assert short.shape == (2, 12)
    torch.testing.assert_close(model.predictor(visual, ids_of_noise, mask), short, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short.norm(dim=1), torch.ones(2))


def test_predictor_reads_video_query_and_word_order(model: VLJEPA) -> None:
    visual = torch.randn(2, 9, 32)
    ids, mask = padded(6, 6)
    base = model.predictor(visual, ids, mask)
    for other in (
        model.predictor(visual + 1, ids, mask),
        model.predictor(visual, ids - 1, mask),
        model.predictor(visual, ids.flip(1), mask),
    ):
        assert (other - base).abs().max() > 1e-3


def test_predictor_sees_forward(model: VLJEPA) -> None:
    """No causal mask is left: the first visual token's state depends on the last query token."""
    x = torch.randn(1, 6, 24)
    changed = x.clone()
    changed[:, -1] += 1
    stack = model.predictor.stack
    assert (stack(x)[:, 0] - stack(changed)[:, 0]).abs().max() > 1e-4


def test_y_encoder_ignores_padding(model: VLJEPA) -> None:
    ids, mask = padded(12, 5)
    short = model.y_encoder(ids[:, :5], mask[:, :5])
    torch.testing.assert_close(model.y_encoder(ids, mask), short, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short.norm(dim=1), torch.ones(2))


def test_every_parameter_learns_under_bfloat16(model: VLJEPA, config: ModelConfig) -> None:
    t, h, w = config.x_encoder.grid
    positions = torch.cartesian_prod(torch.arange(t), torch.arange(h), torch.arange(w))[None]
    patches = torch.randint(0, 256, (4, t * h * w, config.x_encoder.patch_dim), dtype=torch.uint8)
    ids, mask = padded(6, 4, rows=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model.predictor(model.x_encoder(patches, positions), ids, mask)
        target = model.y_encoder(ids, mask)
        loss = info_nce(prediction, target, model.log_temperature, torch.arange(4), torch.arange(4))
        loss = loss + decoder_loss(model.y_decoder(target.detach(), ids), ids, config.pad_id)
    loss.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert loss.dtype == torch.float32
    assert still == []


@pytest.mark.parametrize("part", ["x_encoder", "predictor", "y_encoder", "prefill", "step"])
def test_traces_with_free_sizes(model: VLJEPA, part: str) -> None:
    batch, count = torch.export.Dim("batch", max=64), torch.export.Dim("count", min=2, max=512)
    visual, ids = torch.randn(2, 9, 32), torch.randint(3, 50, (2, 6), dtype=torch.int32)
    mask = torch.ones_like(ids)
    pixels = torch.randint(0, 256, (2, 9, 96), dtype=torch.uint8)
    pasts = [torch.randn(2, 2, 5, 4) for _ in range(2)]
    past_shape = [{0: batch, 2: count}] * 2
    both = {0: batch, 1: count}
    network, inputs, shapes = {
        "x_encoder": (model.x_encoder, (pixels, torch.zeros(2, 9, 3, dtype=torch.int32)), (both, both)),
        "predictor": (
            model.predictor,
            (visual, ids, mask),
            ({0: batch, 1: torch.export.Dim("n", min=2)}, both, both),
        ),
        "y_encoder": (model.y_encoder, (ids, mask), (both, both)),
        "prefill": (Method(model.y_decoder, "prefill"), (torch.randn(2, 12),), ({0: batch},)),
        "step": (
            Method(model.y_decoder, "step"),
            (ids[:, :1], pasts, pasts),
            ({0: batch}, past_shape, past_shape),
        ),
    }[part]
    if isinstance(network, Method):
        shapes = (shapes,)
    program = torch.export.export(network, inputs, dynamic_shapes=shapes, strict=False)
    expected, got = network(*inputs), program.module()(*inputs)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


class Method(torch.nn.Module):
    """A method of a module as a module of its own, which is what torch.export wants."""

    def __init__(self, owner: torch.nn.Module, name: str) -> None:
        super().__init__()
        self.owner, self.name = owner, name

    def forward(self, *inputs: object) -> object:
        return getattr(self.owner, self.name)(*inputs)
