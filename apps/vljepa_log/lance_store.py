"""The store for object storage: one LanceDB table, each step one version of it, so that a step is there or not.

    lance:PATH    lance:s3://BUCKET/PREFIX    s3://BUCKET/PREFIX

Windows, events, thumbnails and positions are rows of the same table, told apart by `kind`: two tables could not be
written in one step. LanceDB finds the nearest by itself. Keys and endpoints of object storage are read from the
environment as LanceDB does (AWS_ACCESS_KEY_ID, AWS_ENDPOINT, ...).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.checking import check_identity, read_identity
from vljepa_log.errors import LogError
from vljepa_log.moments import Moment
from vljepa_log.rows import TOLD, WINDOW, Batch, StoredEvent, Thumbnail, unknown_of
from vljepa_log.store import EVERYTHING, Contents, Held, Position, Where
from vljepa_log.thinning import thin
from vljepa_runtime import Event
from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.files import claimed

__all__ = ["LanceStore"]

Float32 = npt.NDArray[np.float32]
TABLE = "log"
KEY_BITS = 20  # a key is the table's version and then, in so many bits, the row of its step
READERS_S = 600.0  # so long readers may use a version that is no longer the newest
INDEXED_FROM = 1 << 17  # rows that an exact search takes too long over
COLUMNS = ("key", *(name for name, _ in TOLD))


class LanceStore:
    """See `Store`. That there is one writer is held for a folder; in object storage it is yours to see to.

    Args:
        place: Folder or address.
        identity: Of what its embeddings mean, by name; a log that says otherwise is refused. None opens any log that
            is there.
        writable: Be its one writer.

    Raises:
        LogError: it is no log, or of another model.
        InputError: the folder cannot be written, or has its writer.
        MissingExtraError: LanceDB is not installed.
    """

    def __init__(self, place: str | Path, *, identity: Mapping[str, str] | None, writable: bool) -> None:
        try:
            import lancedb
        except ImportError as error:
            raise MissingExtraError("lancedb", "lancedb") from error
        self._place = str(place)
        with ExitStack() as opening:
            if writable and "://" not in self._place:
                opening.enter_context(claimed(Path(self._place) / "writer"))
            with self._trouble("open"):
                self._lance = lancedb.connect(self._place, read_consistency_interval=timedelta(0))
                self._table = self._opened(identity if writable else None)
            text = (self._table.schema.metadata or {}).get(b"identity", b"").decode()
            self.identity = read_identity(text, place=self._place)
            check_identity(self.identity, identity, place=self._place)
            if set(self._table.schema.names) != set(_schema(self.identity).names):
                raise LogError(f"{place} is a log of another layout: update vljepa-edge, or begin a new log")
            self._held_open = opening.pop_all()

    def _opened(self, identity: Mapping[str, str] | None) -> Any:
        if TABLE in self._lance.list_tables().tables:
            return self._lance.open_table(TABLE)
        if identity is None:
            raise LogError(f"{self._place} holds no log: write one with vljepa index or vljepa run --log")
        return self._lance.create_table(TABLE, schema=_schema(identity))

    def append(self, contents: Contents) -> None:
        """See `Store`."""
        key = int(self._table.version) << KEY_BITS
        rows = [*_rows(contents)]
        for row in rows:
            row["key"] = key = key + 1
        if rows:
            with self._trouble("write"):
                self._table.add(self._arrow(rows))

    def held(self, where: Where = EVERYTHING) -> list[Held]:
        """See `Store`."""
        found = self._columns("window", _condition(where), ["stream", "query", "time"])
        times: dict[tuple[str, str], list[float]] = {}
        for stream, query, time in zip(found["stream"], found["query"], found["time"]):
            times.setdefault((stream, query), []).append(time)
        return [
            Held(stream=stream, query=query, windows=len(each), first=min(each), last=max(each))
            for (stream, query), each in sorted(times.items())
        ]

    def windows(self, where: Where = EVERYTHING) -> Iterator[Batch]:
        """See `Store`; read stream by stream, all from one version."""
        with self._trouble("read"):
            table = self._lance.open_table(TABLE)
            table.checkout(table.version)
        for held in self.held(where):
            one = Where(streams=(held.stream,), queries=(held.query,), since=where.since, until=where.until)
            batch = self._batch(held.stream, held.query, _condition(one), table)
            if len(batch):
                yield batch

    def nearest(self, embedding: Float32, *, k: int, where: Where = EVERYTHING) -> list[Moment]:
        """See `Store`."""
        with self._trouble("read"):
            rows = (
                self._table.search(np.asarray(embedding, np.float32), vector_column_name="embedding")
                .distance_type("dot")
                .where(_all("window", _condition(where)), prefilter=True)
                .limit(k)
                .select(["stream", "query", "key", "start_s", "end_s", "time", "unknown", "_distance"])
                .to_list()
            )
        return [
            Moment(score=1.0 - row.pop("_distance"), unknown=unknown_of(row.pop("unknown")), **row)
            for row in rows
        ]

    def around(self, window: Moment, *, count: int) -> Batch | None:
        """See `Store`."""
        reach = count * max(1.0, window.end_s - window.start_s)
        near = Where(
            streams=(window.stream,),
            queries=(window.query,),
            since=window.time - reach,
            until=window.time + reach,
        )
        batch = self._batch(window.stream, window.query, _condition(near))
        at = np.flatnonzero(batch.windows["key"] == window.key)
        if not len(at):
            return None
        return batch.take(slice(max(0, int(at[0]) - count), int(at[0]) + count + 1))

    def events(self, where: Where = EVERYTHING) -> Iterator[StoredEvent]:
        """See `Store`."""
        found = self._columns("event", _condition(where), ["key", "time", "text"])
        rows = zip(found["time"], found["key"], found["text"])
        for time, key, text in sorted(rows):
            yield StoredEvent(number=key, time=time, event=Event.from_json(text))

    def thumbnail(self, stream: str, at_s: float, *, time: float | None = None) -> Thumbnail | None:
        """See `Store`."""
        condition = f"stream = {_quoted(stream)}"
        found = self._columns("thumbnail", condition, ["key", "start_s", "time"])
        moments, value = (found["start_s"], at_s) if time is None else (found["time"], time)
        if not moments:
            return None
        nearest = int(np.abs(np.array(moments) - value).argmin())
        (jpeg,) = self._columns("thumbnail", f"key = {found['key'][nearest]}", ["jpeg"])["jpeg"]
        return Thumbnail(
            stream=stream, at_s=found["start_s"][nearest], time=found["time"][nearest], jpeg=jpeg
        )

    def thumbnails(self, where: Where = EVERYTHING) -> Iterator[Thumbnail]:
        """See `Store`."""
        condition = _condition(replace(where, queries=()))
        names = ["key", "stream", "start_s", "time", "jpeg"]
        found = self._columns("thumbnail", condition, names)
        for _, stream, at_s, time, jpeg in sorted(zip(*(found[name] for name in names))):
            yield Thumbnail(stream=stream, at_s=at_s, time=time, jpeg=jpeg)

    def positions(self, *, stream: str | None = None) -> dict[tuple[str, str], Position]:
        """See `Store`; the last one of each."""
        names = ["key", "stream", "query", "end_s", "complete", "text"]
        found = self._columns("position", "" if stream is None else f"stream = {_quoted(stream)}", names)
        return {
            (name, query): Position(at_s=at_s, complete=complete, source=source)
            for _, name, query, at_s, complete, source in sorted(zip(*(found[each] for each in names)))
        }

    def thin(self, *, until: float, within: float) -> int:
        """See `Store`."""
        removed = 0
        old = Where(until=until)
        for held in self.held(old):
            one = Where(streams=(held.stream,), queries=(held.query,), until=until)
            condition = f"{_condition(one)} AND NOT complete"
            batch = self._batch(held.stream, held.query, condition)
            kept = thin(batch, within=within)
            if len(batch):
                rows = [*_windows(kept, complete=True)]
                with self._trouble("write"):  # one version: what stays is changed as the others go
                    (
                        self._table.merge_insert("key")
                        .when_matched_update_all()
                        .when_not_matched_by_source_delete(_all("window", condition))
                        .execute(self._arrow(rows))
                    )
            removed += len(batch) - len(kept)
        return removed

    def forget(self, before: float) -> int:
        """See `Store`; all of them go."""
        gone = _all("window", f"time < {before!r}")
        with self._trouble("write"):
            count = int(self._table.count_rows(gone))
            self._table.delete(f"kind != 'position' AND time < {before!r}")
        return count

    def tidy(self) -> None:
        """See `Store`; versions older than ten minutes go, so that who reads at this moment may go on."""
        found = self._columns("position", "", ["key", "stream", "query"])
        newest = {of: key for key, of in sorted(zip(found["key"], zip(found["stream"], found["query"])))}
        with self._trouble("write"):
            if len(found["key"]) > len(newest):
                keys = ", ".join(str(key) for key in newest.values())
                self._table.delete(f"kind = 'position' AND key NOT IN ({keys})")
            self._table.optimize(cleanup_older_than=timedelta(seconds=READERS_S))

    def update(self, *, lasting: bool = False, ended: Callable[[], bool] = lambda: False) -> None:
        """See `Store`; by its writer alone."""
        if lasting and not ended() and self.behind():
            with self._trouble("write"):
                self._table.create_index(
                    metric="dot", vector_column_name="embedding", index_type="IVF_HNSW_SQ", replace=True
                )

    def behind(self) -> bool:
        """See `Store`."""
        with self._trouble("read"):
            rows = int(self._table.count_rows())
            stats = [self._table.index_stats(each.name) for each in self._table.list_indices()]
        return rows - max((each.num_indexed_rows for each in stats if each), default=0) > INDEXED_FROM

    def bytes(self) -> int:
        """See `Store`; of object storage what the newest version takes."""
        if "://" in self._place:
            with self._trouble("read"):
                return int(self._table.stats()["total_bytes"])
        return sum(path.stat().st_size for path in Path(self._place).rglob("*") if path.is_file())

    def close(self) -> None:
        """See `Store`."""
        self._held_open.close()

    def _batch(self, stream: str, query: str, condition: str, table: Any = None) -> Batch:
        found = self._arrow_of("window", condition, [*COLUMNS, "embedding"], table).sort_by("key")
        windows = np.zeros(len(found), WINDOW)
        for name in COLUMNS:
            windows[name] = found[name].to_numpy()
        width = int(self.identity["embedding_dim"])
        flat = found["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return Batch(stream=stream, query=query, windows=windows, embeddings=flat.reshape(-1, width))

    def _columns(self, kind: str, condition: str, names: Sequence[str]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = self._arrow_of(kind, condition, names).to_pydict()
        return found

    def _arrow_of(self, kind: str, condition: str, names: Sequence[str], table: Any = None) -> Any:
        with self._trouble("read"):
            return (
                (self._table if table is None else table)
                .search()
                .where(_all(kind, condition))
                .select(list(names))
                .to_arrow()
            )

    def _arrow(self, rows: Sequence[Mapping[str, object]]) -> Any:
        import pyarrow

        return pyarrow.Table.from_pylist(list(rows), schema=_schema(self.identity))

    @contextmanager
    def _trouble(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, TypeError, ValueError) as error:  # what LanceDB and Arrow raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise LogError(f"cannot {what} the log {self._place}: {reason}") from error


def _schema(identity: Mapping[str, str]) -> Any:
    import pyarrow

    numbers = [(name, pyarrow.float64()) for name in ("start_s", "end_s", "time")]
    texts = [(name, pyarrow.utf8()) for name in ("kind", "stream", "query", "text")]
    return pyarrow.schema(
        [
            ("key", pyarrow.int64()),
            *texts,
            *numbers,
            ("score", pyarrow.float32()),
            ("unknown", pyarrow.int8()),
            ("complete", pyarrow.bool_()),
            ("jpeg", pyarrow.binary()),
            ("embedding", pyarrow.list_(pyarrow.float16(), int(identity["embedding_dim"]))),
        ],
        metadata={"identity": json.dumps(dict(identity), sort_keys=True)},
    )


def _rows(contents: Contents) -> Iterator[dict[str, object]]:
    """What a step stores; the table's columns that a kind does not use stay empty."""
    for batch in contents.batches:
        yield from _windows(batch, complete=False)
    for stored in contents.events:
        event = stored.event
        yield {
            "kind": "event", "stream": event.stream, "query": event.query, "time": stored.time,
            "text": event.to_json(),
        }  # fmt: skip
    for each in contents.thumbnails:
        yield {
            "kind": "thumbnail", "stream": each.stream, "start_s": each.at_s, "time": each.time,
            "jpeg": each.jpeg,
        }  # fmt: skip
    for (stream, query), position in contents.positions.items():
        yield {
            "kind": "position", "stream": stream, "query": query, "end_s": position.at_s,
            "complete": position.complete, "text": position.source,
        }  # fmt: skip


def _windows(batch: Batch, *, complete: bool) -> Iterator[dict[str, object]]:
    """Rows of windows; `complete` says that they were thinned."""
    for window, embedding in zip(batch.windows, batch.embeddings):
        numbers = dict(zip(COLUMNS, (window[name].item() for name in COLUMNS)))
        yield {
            "kind": "window", "stream": batch.stream, "query": batch.query, "complete": complete,
            "embedding": embedding, **numbers,
        }  # fmt: skip


def _condition(where: Where) -> str:
    conditions = [
        f"{name} IN ({', '.join(map(_quoted, values))})"
        for name, values in (("stream", where.streams), ("query", where.queries))
        if values
    ]
    if where.since is not None:
        conditions.append(f"time >= {float(where.since)!r}")
    if where.until is not None:
        conditions.append(f"time < {float(where.until)!r}")
    return " AND ".join(conditions)


def _all(kind: str, condition: str) -> str:
    return f"kind = '{kind}'" + (f" AND {condition}" if condition else "")


def _quoted(text: str) -> str:
    """A text of SQL."""
    return "'" + text.replace("'", "''") + "'"
