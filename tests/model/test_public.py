"""The package's public names are these, and to import one costs what that one needs."""

from __future__ import annotations

import subprocess
import sys

import vljepa_model


def test_the_public_names_are_these() -> None:
    assert vljepa_model.__all__ == [
        "Checkpoint",
        "CheckpointError",
        "CheckpointFolder",
        "ConfigError",
        "ModelConfig",
        "VLJEPA",
        "assemble",
        "checkpoint_folder",
        "load_checkpoint",
        "open_checkpoint",
        "save_checkpoint",
        "write_checkpoint",
    ]


def test_to_know_where_a_checkpoint_lies_needs_no_torch() -> None:
    code = (
        "import sys; from vljepa_model import checkpoint_folder\n"
        "assert (checkpoint_folder() / 'config.json').is_file()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
