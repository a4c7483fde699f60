"""A fingerprint names weights."""

from __future__ import annotations

import torch
from torch import nn

from vljepa_model.runs.fingerprint import fingerprint


def test_a_fingerprint_tells_names_shapes_and_values_apart() -> None:
    torch.manual_seed(0)
    encoder = nn.Linear(2, 3)
    turned = nn.Linear(3, 2)
    turned.load_state_dict({"weight": encoder.weight.reshape(2, 3), "bias": encoder.bias[:2]})
    other = nn.Linear(2, 3)
    other.load_state_dict(encoder.state_dict())
    assert fingerprint(other) == fingerprint(encoder) != fingerprint(turned)
