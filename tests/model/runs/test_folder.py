"""A folder holds one run: what it does is written down once, and another is refused."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_model.errors import CheckpointError, ConfigError
from vljepa_model.finetuning.recipe import FineTuneRecipe
from vljepa_model.runs.folder import SETTINGS_FILES, settle
from vljepa_model.training.recipe import Recipe
from vljepa_model.versus.plan import Plan

IDENTITY = {"checkpoint": "0123", "data": "4567"}


@pytest.mark.parametrize("default", [Recipe(), FineTuneRecipe(), Plan()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("key", [None, "recipe"])
def test_a_run_that_began_keeps_its_settings(
    default: Recipe | FineTuneRecipe | Plan, key: str | None, tmp_path: Path
) -> None:
    path, asked = tmp_path / "run" / "run.json", replace(default, lr=0.5)
    identity = IDENTITY if key else {}
    assert settle(path, asked, default, key=key, identity=identity) == asked
    assert settle(path, None, default, key=key, identity=identity) == asked
    with pytest.raises(CheckpointError, match=r"run with another recipe \(lr differ\): choose another"):
        settle(path, default, default, key=key, identity=identity)
    if key:
        with pytest.raises(CheckpointError, match="with another checkpoint and data: choose another"):
            settle(path, None, default, key=key, identity={"checkpoint": "x", "data": "y"})


@pytest.mark.parametrize("key", [None, "recipe"])
def test_a_run_that_has_learned_nothing_takes_what_is_asked(key: str | None, tmp_path: Path) -> None:
    path, default = tmp_path / "run.json", FineTuneRecipe()
    asked, other = replace(default, lr=0.5), replace(default, lr=0.25)
    settle(path, asked, default, key=key, identity=IDENTITY if key else {})
    identity = {"checkpoint": "x", "data": "y"} if key else {}
    assert settle(path, other, default, key=key, identity=identity, begun=False) == other
    assert settle(path, None, default, key=key, identity=identity, begun=False) == other
    assert settle(path, other, default, key=key, identity=identity) == other
    if key:
        assert settle(path, None, default, key=key, identity=IDENTITY, begun=False) == default


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [p for p in itertools.product(SETTINGS_FILES, (*SETTINGS_FILES, "state.pt")) if len(set(p)) > 1],
)
def test_a_folder_with_another_kind_of_run_is_refused(mine: str, theirs: str, tmp_path: Path) -> None:
    (tmp_path / theirs).write_text("{}")
    with pytest.raises(CheckpointError, match="another kind of run: choose another folder"):
        settle(tmp_path / mine, None, Recipe())


@pytest.mark.parametrize(
    ("text", "key", "error", "message"),
    [
        ("{", None, CheckpointError, "is not readable JSON"),
        (json.dumps({"typo": 1}), None, ConfigError, "unknown keys typo"),
        (json.dumps({"recipe": [1]}), "recipe", CheckpointError, "expected recipe to be a JSON object, got list"),
        (json.dumps({}), "recipe", CheckpointError, "expected recipe to be a JSON object, got NoneType"),
    ],
)  # fmt: skip
def test_damaged_settings_are_refused(
    text: str, key: str | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(error, match=message):
        settle(tmp_path / "run.json", None, Recipe(), key=key)
