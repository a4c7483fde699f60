"""Units of work on a cluster, each of whose results counts once: whoever dies, and however often.

A unit has a key that says everything its result depends on. A result is kept in a file of that name as soon as it
comes, whole or not at all: a unit that was done twice gives one file, and one whose file is there is not done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vljepa_apps.cluster.ray_cluster import Cluster, ClusterError
from vljepa_runtime.errors import OutputError, VljepaError
from vljepa_runtime.files import cache_file

__all__ = ["Results", "Unit", "Worker", "key_of"]

SUFFIX = ".result"
ATTEMPTS = 5  # at a unit whose worker dies: one that kills every worker must end some time
BLOCKS = 10_000  # Ray keeps books of each; where there are more units, some go together


class Worker(Protocol):
    """Does units; made once in each process, so that a model is loaded once."""

    def __call__(self, payload: Mapping[str, Any]) -> bytes:
        """Do one unit.

        Raises:
            VljepaError: none of them can be done; the whole work ends with its message.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What one worker does at a time.

    Attributes:
        key: See `key_of`.
        payload: What the worker is given; JSON can say it.
    """

    key: str
    payload: Mapping[str, Any]


def key_of(**depends: Any) -> str:
    """Names a result by all that it depends on."""
    return hashlib.sha256(json.dumps(depends, sort_keys=True, default=str).encode()).hexdigest()[:32]


class Results:
    """Results of units in a folder, made on a cluster where they are not there yet.

    Args:
        folder: Made when the first result comes.
        on_result: Told of each result that came.
    """

    def __init__(self, folder: Path, *, on_result: Callable[[], object] = lambda: None) -> None:
        self._folder, self._on_result = folder, on_result
        self._coming: Iterator[str] = iter(())

    def begin(self, cluster: Cluster, make: Callable[[], Worker], units: Sequence[Unit]) -> None:
        """Have a cluster do what is not done yet; results come as `wait` asks for them.

        Args:
            cluster: Connected until the last result was waited for.
            make: Makes a worker in its own process, a module's class or a partial of one.
            units: Roughly in the order in which they are wanted.
        """
        todo = {unit.key: unit for unit in units if not self.path(unit.key).is_file()}
        if todo:
            self._coming = self._come(cluster, make, list(todo.values()))

    def wait(self, key: str) -> bytes:
        """The result of a unit; those that come meanwhile are kept.

        Raises:
            ClusterError: a worker cannot do its work, or died again and again.
            OutputError: a result cannot be kept.
        """
        while not self.path(key).is_file():
            if next(self._coming, None) is None:
                raise ClusterError(
                    "the cluster ended without a result for every unit: start the same command again"
                )
        return self.path(key).read_bytes()

    def path(self, key: str) -> Path:
        """Where a result is kept."""
        return self._folder / f"{key}{SUFFIX}"

    def drop(self, key: str) -> None:
        """A result is no longer needed."""
        self.path(key).unlink(missing_ok=True)

    def clear(self) -> None:
        """No result is needed any more, also none of what was begun before and given up."""
        if self._folder.is_dir():
            for path in self._folder.glob(f"*{SUFFIX}"):
                path.unlink(missing_ok=True)
            if not any(self._folder.iterdir()):
                self._folder.rmdir()

    def _come(self, cluster: Cluster, make: Callable[[], Worker], units: Sequence[Unit]) -> Iterator[str]:
        for key, result in _computed(cluster, make, units):
            try:
                cache_file(self.path(key), result)
            except OSError as error:
                raise OutputError(
                    f"cannot keep a result in {self._folder}: {error.strerror or error}"
                ) from error
            self._on_result()
            yield key


def _computed(
    cluster: Cluster, make: Callable[[], Worker], units: Sequence[Unit]
) -> Iterator[tuple[str, bytes]]:
    """Keys and results in the order in which they come."""
    ray, place = cluster.ray, cluster.place
    rows = [{"key": unit.key, "payload": json.dumps(dict(unit.payload))} for unit in units]
    size = min(cluster.workers, len(units))
    asked = ray.data.from_items(rows, override_num_blocks=min(len(rows), BLOCKS))
    with (
        warnings.catch_warnings()
    ):  # until 2.64 Ray takes `max_task_retries` so, and has no other name for it
        warnings.simplefilter("ignore")
        done = asked.map_batches(
            _Actor, fn_constructor_args=(make, os.getcwd()), batch_size=1, batch_format="pyarrow",
            num_cpus=place.threads, num_gpus=place.gpus, compute=ray.data.ActorPoolStrategy(size=size),
            max_task_retries=ATTEMPTS,
        )  # fmt: skip
    try:
        for row in done.iter_rows():
            if row["error"]:
                raise ClusterError(row["error"])
            yield row["key"], row["result"]
    except ray.exceptions.RayActorError as error:
        raise ClusterError(
            f"a worker died {ATTEMPTS + 1} times at the same piece of work: its machine may lack the memory for it; "
            "give fewer --workers, and start the same command again: what is done is kept"
        ) from error


class _Actor:
    """A worker as Ray Data calls it; what it raises on purpose comes back as a text."""

    def __init__(self, make: Callable[[], Worker], folder: str) -> None:
        self._error = ""
        try:
            os.chdir(folder)  # names mean here what they mean where they were given
            self._worker = make()
        except OSError as error:
            self._error = f"a worker cannot go to {folder}, where the command was given: {error.strerror}"
        except VljepaError as error:
            self._error = str(error)

    def __call__(self, batch: Any) -> Any:
        import pyarrow

        (row,) = batch.to_pylist()
        result, error = b"", self._error
        try:
            result = b"" if error else self._worker(json.loads(row["payload"]))
        except VljepaError as problem:
            error = str(problem)
        return pyarrow.table(
            {"key": [row["key"]], "error": [error], "result": pyarrow.array([result], pyarrow.large_binary())}
        )
