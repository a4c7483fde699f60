"""Sources into a log by workers of a cluster: each is a unit, and the log gets them in the order that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import console
from vljepa_apps.cluster.ray_cluster import ClusterError, Place, cluster
from vljepa_apps.cluster.units import Results, Unit, key_of
from vljepa_log import Indexed, LogWriter, SourceOrder, add_gathered, gather_source, order_source
from vljepa_runtime.bundle import fingerprint_of
from vljepa_runtime.files import plain, read_record

if TYPE_CHECKING:
    from vljepa_runtime import Bundle

__all__ = ["IndexWorker", "index_on"]

VERSION = 1  # of what a worker gives


class IndexWorker:
    """Indexes sources with a model of its own; see `gather_source`.

    Args:
        model: As `vljepa_runtime.load` takes it.
        asked: As `index_source` takes it.
    """

    def __init__(self, model: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        import vljepa_runtime as vj

        self._model, self._asked = vj.load(**model), asked

    def __call__(self, payload: Mapping[str, Any]) -> bytes:
        """What one source adds to the log."""
        order = read_record(SourceOrder, payload, "an order", error=ClusterError)
        return gather_source(self._model, order, **self._asked)


def index_on(
    place: Place,
    sources: Sequence[str],
    log: LogWriter,
    *,
    bundle: Bundle,
    model: Mapping[str, Any],
    asked: Mapping[str, Any],
    folder: Path,
) -> tuple[list[Indexed], list[str]]:
    """Index sources on a cluster; rows are those that `index_source` gives, one source after the other.

    Args:
        place: Which cluster.
        sources: Files and folders that every machine sees under the same names.
        log: Takes them.
        bundle: Whose embeddings are logged.
        model: How each worker loads it, as `vljepa_runtime.load` takes it.
        asked: As `index_source` takes it, with all of `query`, `stride_s` and `max_seconds`.
        folder: Where results wait for those before them.

    Returns:
        What became of each source, and the engines that computed.

    Raises:
        InputError: a source is no file and no folder.
        ClusterError: the cluster cannot be reached, or cannot do the work.
    """
    about = {
        "version": VERSION, "asked": dict(asked), "model": dict(model), "bundle": fingerprint_of(bundle.manifest)
    }  # fmt: skip
    units = [_unit(log, source, asked, about) for source in sources]
    first: dict[str, Unit] = {}
    for unit in units:
        if isinstance(unit, Unit):
            first.setdefault(unit.payload["stream"], unit)
    todo = list(first.values())
    with console.Progress("indexing", total=len(todo)) as progress, ExitStack() as connected:
        results = Results(folder, on_result=progress.advance)
        missing = [unit for unit in todo if not results.path(unit.key).is_file()]
        progress.update(len(todo) - len(missing))
        if missing:
            worker = partial(IndexWorker, dict(model), dict(asked))
            results.begin(connected.enter_context(cluster(place)), worker, missing)
        found, engines = _merged(units, log, results, limited=asked["max_seconds"] is not None)
    results.clear()
    return found, engines


def _merged(
    units: Sequence[Unit | Indexed], log: LogWriter, results: Results, *, limited: bool
) -> tuple[list[Indexed], list[str]]:
    """Each result goes into the log when all before it have: so a log does not tell who was quick."""
    added: dict[str, Indexed] = {}
    found: list[Indexed] = []
    engines: set[str] = set()
    for unit in units:
        if isinstance(unit, Indexed):
            found.append(unit)
        elif done := added.get(unit.payload["stream"]):  # it was named twice
            found.append(replace(done, windows=0, skipped=not (done.error or limited)))
        else:
            done, engine = add_gathered(log, results.wait(unit.key), name=str(results.path(unit.key)))
            results.drop(unit.key)
            added[unit.payload["stream"]] = done
            engines.add(engine)
            found.append(done)
    return found, sorted(engines)


def _unit(log: LogWriter, source: str, asked: Mapping[str, Any], about: Mapping[str, Any]) -> Unit | Indexed:
    """What a worker is to do; or what became of a source without one."""
    order = order_source(log, source, query=asked["query"], stride_s=asked["stride_s"])
    if isinstance(order, Indexed):
        return order
    payload = plain(order)
    return Unit(key=key_of(**about, **payload), payload=payload)
