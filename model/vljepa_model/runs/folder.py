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

__all__ = ["SETTINGS_FILES", "known_settings", "settle", "write_settings"]

SETTINGS_FILES = ("recipe.json", "run.json", "plan.json")  # of training, fine-tuning and comparing
STATE = "state.pt"

S = TypeVar("S", bound=RunSettings)


def known_settings(
    path: Path,
    default: S,
    *,
    key: str | None = None,
    identity: Mapping[str, str] | None = None,
    begun: bool = True,
) -> S | None:
    """What the file of a run says, see `settle`; None where there is none, or another one that has learned nothing."""
    if not path.exists():
        return None
    identity, found = identity or {}, read_json(path)
    if changed := [name for name in identity if found.get(name) != identity[name]]:
        if not begun:
            return None
        raise CheckpointError(
            f"{path.parent} holds a run with another {' and '.join(changed)}: choose another folder"
        )
    values = found.get(key) if key else found
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected {key} to be a JSON object, got {type(values).__name__}")
    return type(default).from_dict(values)


def settle(
    path: Path,
    asked: S | None,
    default: S,
    *,
    key: str | None = None,
    identity: Mapping[str, str] | None = None,
    begun: bool = True,
) -> S:
    """The settings of the run in a folder, which begins now if there is none.

    Args:
        path: The settings' file, one of SETTINGS_FILES.
        asked: What is asked for; None takes what the file says, or the default.
        default: What a new run gets where nothing is asked.
        key: Where the settings lie in the file; None where it holds nothing else.
        identity: Names whatever else makes it this run, such as the data.
        begun: Whether there is something learned to go on from. Where there is not, as after a kill in the first steps,
            what is asked for replaces what the file says.

    Raises:
        CheckpointError: the folder holds another run.
        ConfigError: the file holds something that is no setting.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    known = known_settings(path, default, key=key, identity=identity, begun=begun)
    if known is None or (not begun and asked not in (None, known)):
        if not path.exists() and any((folder / name).exists() for name in (*SETTINGS_FILES, STATE)):
            raise CheckpointError(f"{folder} holds another kind of run: choose another folder")
        settled = asked or default
        values = settled.to_dict()
        write_settings(path, {key: values, **(identity or {})} if key else values)
        return settled
    if asked is not None and asked != known:
        kept = known.to_dict()
        differing = [name for name, value in asked.to_dict().items() if value != kept[name]]
        raise CheckpointError(
            f"{folder} holds a run with another {key or 'recipe'} ({', '.join(differing)} differ): "
            "choose another folder"
        )
    return known


def write_settings(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a settings' file."""
    replace_file(path, json.dumps(values, indent=1).encode())
