"""One runtime in a process of its own: loads a bundle, then runs streams as the lines on stdin say, a reply each.

python -m vljepa_apps.measure.tune.trial_process '{"spec": "tiny", "engine": "onnxruntime:cpu", "threads": 1}'
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vljepa_apps.measure.json_process import answering, say
from vljepa_apps.measure.subject import Subject
from vljepa_apps.measure.tune.paced import TimedSession, run_paced
from vljepa_runtime import Session, SourceStatus
from vljepa_runtime.events import in_turn
from vljepa_runtime.peak_memory import peak_rss_mb
from vljepa_runtime.predicting import predict_windows

if TYPE_CHECKING:
    import numpy.typing as npt

    from vljepa_runtime import Event, Model, Source

    Float32 = npt.NDArray[np.float32]

__all__ = ["main", "new_session", "run_unpaced"]

AnySession = TypeVar("AnySession", bound=Session)
UNTIMED = 2  # windows at the beginning: an engine makes its buffers for a shape then


def main(argv: list[str]) -> int:
    """Load, say so, and do what each line of stdin wants until there is none."""
    model: Any = Subject(**json.loads(argv[0])).load()
    say("loaded", engine=model.engine_name, rss_mb=peak_rss_mb() or 0.0)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order.get("streams"):
                found = run_paced(partial(new_session, model, order, kind=TimedSession), order)
            else:
                found = run_unpaced(model, order)
        except Exception as error:  # this candidate cannot run; the others of this process get their turn
            say("error", message=f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            say("trial", **found)
    return 0


def new_session(model: Model, order: Mapping[str, Any], kind: type[AnySession]) -> AnySession:
    """The session that `vljepa run` would open."""
    return kind(
        model,
        query=order["queries"] or None,
        labels=order["labels"] or None,
        stride_s=order["stride_s"],
        tokens=order["tokens"],
        carry_s=order["carry_s"],
        decode=order["decode"],
        embeddings=bool(order.get("answers")),
    )


@dataclass(slots=True)
class Seen:
    """What a run gave: an embedding for each window and query, and one for each segment."""

    rows: list[Float32] = field(default_factory=list)
    segments: dict[str, list[Float32]] = field(default_factory=dict)
    unworded_ms: list[float] = field(default_factory=list)

    def tell(self, events: Sequence[Event], spent_ms: float) -> None:
        """Take what a window gave."""
        words_ms = 0.0
        for event in events:
            words_ms += event.latency_ms.decode or 0.0
            if event.embedding is not None and event.query is not None:
                self.segments.setdefault(event.query, []).append(np.array(event.embedding, np.float32))
        self.unworded_ms.append(spent_ms - words_ms)


def run_unpaced(model: Model, order: Mapping[str, Any]) -> dict[str, Any]:
    """Run a source as fast as it goes, window by window.

    Args:
        model: What runs.
        order: `source`, `seconds` of it, the session's options; `embeddings`, a file for what was predicted, and
            `answers`, one for the embeddings of the segments (or labels) of each query.

    Returns:
        Counts and times. Latencies are those from a window's last frame to when all that it gives was told.
    """
    import vljepa_runtime as vj

    seen = Seen()
    with vj.open_source(order["source"]) as source, new_session(model, order, Session) as session:
        session.begin(source.name, on_window=lambda window, query, row: seen.rows.append(row))
        spent_ms: list[float] = []
        begun_s = begun_cpu_s = 0.0
        for number, each_ms in enumerate(_windows(model, session, source, order["seconds"], seen)):
            if number == UNTIMED - 1:
                begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
            elif number >= UNTIMED:
                spent_ms.append(each_ms)
        wall_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
        seen.tell([*in_turn(session.finish())], 0.0)
        stats, queries = session.stats, session.queries
    if not spent_ms:
        raise ValueError(f"only {stats.windows} windows, expected more than {UNTIMED}: look at more seconds")
    _keep(model, seen, queries, order)
    return {
        "windows": len(spent_ms),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "latencies_ms": [round(each, 3) for each in spent_ms],
        "unworded_ms": [round(each, 3) for each in seen.unworded_ms[UNTIMED:-1]],
        "carried": stats.carried / max(1, stats.windows),
        "tokens_saved": stats.tokens_saved,
        "decodings": stats.decodings,
        "media_s": stats.media_s,
    }


def _windows(model: Model, session: Session, source: Source, seconds: float, seen: Seen) -> Iterator[float]:
    """Milliseconds of each window."""
    for item in session.items(source, max_seconds=seconds):
        if isinstance(item, SourceStatus):
            continue
        arrived_s = time.perf_counter()
        for prepared in session.prepare(item):
            if isinstance(prepared, SourceStatus):
                continue
            (predicted,) = predict_windows(model, [prepared], session.queries)
            events = [*in_turn(session.tell(predicted))]
            told_s = time.perf_counter()
            spent_ms = (told_s - arrived_s) * 1000
            seen.tell(events, spent_ms)
            yield spent_ms
            arrived_s = time.perf_counter()


def _keep(model: Model, seen: Seen, queries: Sequence[str], order: Mapping[str, Any]) -> None:
    """Write the embeddings of the windows (W, Q, S), and those of the answers of each query."""
    if path := order.get("embeddings"):
        np.save(
            path, np.stack(seen.rows).reshape(-1, len(queries), seen.rows[0].shape[-1]), allow_pickle=False
        )
    if path := order.get("answers"):
        labels = model.embed_text(order["labels"]) if order["labels"] else None
        found: dict[str, Any] = {
            f"q{number}": labels if labels is not None else np.array(seen.segments.get(query, ()), np.float32)
            for number, query in enumerate(queries)
        }
        np.savez(path, **found)


if __name__ == "__main__":
    sys.exit(answering(main))
