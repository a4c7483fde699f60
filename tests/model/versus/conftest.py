"""What tests of `versus` share."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_model.checkpoint import Checkpoint, load_checkpoint


@pytest.fixture(scope="module")
def checkpoint(small: Path) -> Checkpoint:
    """A small one, whose X-encoder both contenders use."""
    return load_checkpoint(small)
