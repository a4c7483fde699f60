"""Runs that were done already, in a file beside the profile: a search that was stopped goes on from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vljepa_runtime.errors import InputError
from vljepa_runtime.files import parse_json, replace_file

__all__ = ["KeptRuns", "kept_path"]

MAX_BYTES = 64 << 20


def kept_path(profile: Path) -> Path:
    """Where the runs for a profile are kept."""
    return profile.with_name(f"{profile.name.removesuffix('.json')}.trials.jsonl")


class KeptRuns:
    """What each run gave, by what was run; written after each.

    Args:
        path: The file; one of an earlier search is read where it was about the same.
        about: Bundles, source, device and options of this search.

    Attributes:
        reused: How many runs of an earlier search were taken.

    Raises:
        InputError: the file is no such file.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path, self.reused = path, 0
        self._about = json.loads(json.dumps(about))
        self._runs: dict[str, dict[str, Any]] = {}
        self._before: frozenset[str] = frozenset()
        if path.exists():
            self._read()

    def get(self, what: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a run gave, if it was made before."""
        key = key_of(what)
        self.reused += key in self._before
        return self._runs.get(key)

    def put(self, what: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Keep a run."""
        self._runs[key_of(what)] = dict(run)
        lines = [{"tune": self._about}, *({"run": key, "gave": gave} for key, gave in self._runs.items())]
        replace_file(self.path, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def remove(self) -> None:
        """The search is over: nothing is left to go on from."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> None:
        refusal = InputError(
            f"expected runs of an earlier vljepa tune in {self.path}, got something else: move it away, or choose "
            "another --out"
        )
        try:
            with self.path.open("rb") as file:
                lines = file.read(MAX_BYTES).decode("utf-8").splitlines()
            first, *others = [parse_json(line) for line in lines]
            about, runs = first["tune"], {line["run"]: dict(line["gave"]) for line in others}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise refusal from error
        if about == self._about:
            self._runs, self._before = runs, frozenset(runs)


def key_of(what: Mapping[str, Any]) -> str:
    """Names a run."""
    return json.dumps(what, sort_keys=True)
