"""`vljepa train`: a few steps from a folder that does not exist to a checkpoint, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vljepa_apps.commands.train.world import RECIPE_OPTIONS
from vljepa_apps.main import main
from vljepa_model.checkpoint import load_checkpoint
from vljepa_model.finetuning import FineTuneRecipe
from vljepa_model.training import Recipe

SHORT = ["--steps", "2", "--clips", "2", "--warmup", "1", "--workers", "0", "--save-every", "1"]


@pytest.mark.slow
def test_a_short_run_leaves_a_checkpoint_and_goes_on_when_extended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", "--out", str(out), "--init", "tiny", *SHORT, "--json"]) == 0
    printed, said = capsys.readouterr()
    assert json.loads(printed)["checkpoint"] == str(out / "checkpoint")
    assert "vljepa export" in said
    assert main(["train", "--out", str(out), "--extend", "3", "--workers", "0"]) == 0
    assert load_checkpoint(out / "checkpoint").metadata["step"] == 3


@pytest.mark.parametrize("name", RECIPE_OPTIONS)
def test_help_tells_the_defaults_that_the_recipes_have(name: str) -> None:
    told, ours, theirs = RECIPE_OPTIONS[name], getattr(Recipe(), name), getattr(FineTuneRecipe(), name, None)
    assert f"(default {ours}" in told
    assert theirs in (None, ours) or f"; {theirs:.4f}".rstrip("0").rstrip(".") + " with --data)" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--extend", "5"], "no run to extend"),
        (["--init", "tinny"], "tinny"),
        (["--hands", "nowhere"], "expected labels.csv in nowhere"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--out", str(tmp_path), *options]) == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said
