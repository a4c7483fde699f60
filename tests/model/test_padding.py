"""Rows of ids become tensors, padded at the end."""

from __future__ import annotations

import torch

from vljepa_model.padding import decoder_targets, padded


def test_rows_are_padded_to_the_longest() -> None:
    ids, mask = padded([[5, 6], [7], []], pad_id=3)
    assert ids.tolist() == [[5, 6], [7, 3], [3, 3]]
    assert mask.tolist() == [[1, 1], [1, 0], [0, 0]]
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.int64)


def test_decoder_targets_end_where_the_text_ends() -> None:
    ids, mask = torch.tensor([[5, 6, 9], [7, 9, 9]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    assert decoder_targets(ids, mask, eos=2).tolist() == [[5, 6, 9, 2], [7, 2, 0, 0]]
