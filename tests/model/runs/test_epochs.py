"""Every row once an epoch, in an order that step and seed decide alone."""

from __future__ import annotations

import pytest

from vljepa_model.runs.epochs import epoch_rows


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (11, 3), (5, 5)])
def test_no_row_comes_twice_in_an_epoch(rows: int, batch: int) -> None:
    steps = rows // batch
    epochs = [
        [row for step in range(steps) for row in epoch_rows(e * steps + step, rows, batch, seed=1)]
        for e in range(3)
    ]
    assert all(len(set(epoch)) == steps * batch and max(epoch) < rows for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epoch_rows(1, 12, 4, seed=1) != epoch_rows(1, 12, 4, seed=2)
