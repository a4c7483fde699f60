"""The folder of a run and the file in it that says what the run does, with what, so that no other run is continued."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from vljepa_model.errors import CheckpointError
from vljepa_model.runs.settings import RunSettings
from vljepa_model.tensor_files import read_json
from vljepa_runtime.files import replace_file

__all__ = ["SETTINGS_FILES", "settle", "write_settings"]

SETTINGS_FILES = ("recipe.json", "run.json", "plan.json")  # of training, fine-tuning and comparing
STATE = "state.pt"

S = TypeVar("S", bound=RunSettings)


def settle(
    path: Path,
    asked: S | None,
    default: S,
    *,
    key: str | None = None,
    identity: Mapping[str, str] | None = None,
) -> S:
    """The settings of the run in a folder, which begins now if there is none.

    Args:
        path: The settings' file, one of SETTINGS_FILES.
        asked: What is asked for; None takes what the file says, or the default.
        default: What a new run gets where nothing is asked.
        key: Where the settings lie in the file; None where it holds nothing else.
        identity: Names whatever else makes it this run, such as the data.

    Raises:
        CheckpointError: the folder holds another run.
        ConfigError: the file holds something that is no setting.
    """
    identity, folder = identity or {}, path.parent
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        if any((folder / name).exists() for name in (*SETTINGS_FILES, STATE)):
            raise CheckpointError(f"{folder} holds another kind of run: choose another folder")
        settled = asked or default
        write_settings(path, {key: settled.to_dict(), **identity} if key else settled.to_dict())
        return settled
    found = read_json(path)
    if changed := [name for name in identity if found.get(name) != identity[name]]:
        raise CheckpointError(
            f"{folder} holds a run with another {' and '.join(changed)}: choose another folder"
        )
    values = found.get(key) if key else found
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected {key} to be a JSON object, got {type(values).__name__}")
    settled = type(default).from_dict(values)
    if asked is not None and asked != settled:
        kept = settled.to_dict()
        differing = [name for name, value in asked.to_dict().items() if value != kept[name]]
        raise CheckpointError(
            f"{folder} holds a run with another {key or 'recipe'} ({', '.join(differing)} differ): "
            "choose another folder"
        )
    return settled


def write_settings(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a settings' file."""
    replace_file(path, json.dumps(values, indent=1).encode())
