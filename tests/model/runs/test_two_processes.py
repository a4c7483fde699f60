"""Two processes have the loss and the gradients of one that has the whole batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch


def test_a_step_of_two_processes_is_that_of_one_with_the_whole_batch(tmp_path: Path) -> None:
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    whole, *shares = (torch.load(tmp_path / f"{name}.pt") for name in ("whole", 0, 1))
    assert {name.split(".")[1] for name in whole["gradients"]} >= {
        "x_encoder", "predictor", "y_encoder", "log_temperature",
    }  # fmt: skip
    for share in shares:
        torch.testing.assert_close(share["loss"], whole["loss"], rtol=1e-6, atol=0)
        assert share["top1"] == whole["top1"]
        assert set(share["gradients"]) == set(whole["gradients"])
        for name, wanted in whole["gradients"].items():
            scale = float(wanted.abs().max())
            torch.testing.assert_close(
                share["gradients"][name], wanted, rtol=1e-4, atol=1e-5 * max(scale, 1e-6), msg=name
            )
