"""What an alert scored on recordings: of a log, or of a video that is looked at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_apps import arguments, console
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_runtime import Model
    from vljepa_runtime.alerts import Alert, ScoreSeries

Floats = npt.NDArray[np.float32]

__all__ = ["add_arguments", "asked", "marks_of", "scored"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is looked through, and with what."""
    parser.add_argument(
        "recording", metavar="LOG|SOURCE", help=f"folder of a log; or {arguments.SOURCE_HELP}"
    )
    parser.add_argument(
        "--stream", action="append", default=[], metavar="S", help="of a log, this one; may be repeated"
    )
    parser.add_argument(
        "--query", metavar="Q", help="what every window is asked (default: what a log holds; for a caption)"
    )
    arguments.add_number(
        parser, "--stride", 1.0, "seconds between windows of a SOURCE", kind=arguments.positive, metavar="S"
    )
    parser.add_argument(
        "--max-seconds", type=arguments.positive, metavar="S", help="stop after S seconds of a SOURCE"
    )
    parser.add_argument("--bundle", default="tiny", metavar="BUNDLE", help="default: tiny, the shipped one")
    arguments.add_engine(parser)


def asked(args: argparse.Namespace, model: Model) -> str | None:
    """The query of the recording's windows; None where it is the bundle's caption prompt, as a session asks it."""
    from vljepa_log import LogReader, is_log

    query = args.query
    if query is None and is_log(args.recording):
        with LogReader(args.recording, model.bundle.manifest) as log:
            chosen = [each for each in log.streams() if not args.stream or each.name in args.stream]
        queries = {query for each in chosen for query in each.queries}
        query = queries.pop() if len(queries) == 1 else None
    return None if query == model.prompts.get("caption") else query


def scored(args: argparse.Namespace, model: Model, alerts: Sequence[Alert]) -> list[list[ScoreSeries]]:
    """For each alert what it scored, on every stream of the recording."""
    from vljepa_log import is_log
    from vljepa_runtime.alerts import AlertScorer

    scorers = [AlertScorer(alert, model.embed_text) for alert in alerts]
    if is_log(args.recording):
        return _of_log(args, model, alerts, scorers)
    if args.stream:
        raise InputError("--stream is one of a log: a SOURCE is a stream of its own")
    return _of_source(args, model, alerts, scorers)


def _of_log(
    args: argparse.Namespace,
    model: Model,
    alerts: Sequence[Alert],
    scorers: Sequence[Callable[[Floats], Floats]],
) -> list[list[ScoreSeries]]:
    from vljepa_log import LogReader, Where, score_log

    found = []
    with LogReader(args.recording, model.bundle.manifest) as log:
        for alert, score in zip(alerts, scorers):
            query = alert.query or args.query
            where = Where(streams=tuple(args.stream), queries=(query,) if query else ())
            found.append(score_log(log, score, where=where))
    return found


def _of_source(
    args: argparse.Namespace,
    model: Model,
    alerts: Sequence[Alert],
    scorers: Sequence[Callable[[Floats], Floats]],
) -> list[list[ScoreSeries]]:
    from vljepa_runtime.alerts import ScoreSeries

    first = args.query or model.prompts["caption"]
    queries = list(dict.fromkeys([first, *(alert.query for alert in alerts if alert.query)]))
    rows: dict[str, list[Floats]] = {query: [] for query in queries}
    times: list[tuple[float, float]] = []
    with (
        model.session(query=queries, stride_s=args.stride, decode="never", select="uniform:3600") as session,
        console.Progress("watching") as progress,
    ):

        def keep(window: object, query: str, row: Floats) -> None:
            if query == first:
                times.append((window.start_s, window.end_s))  # type: ignore[attr-defined]
                progress.update(times[-1][1], detail=f"{console.duration(times[-1][1])} of {args.recording}")
            rows[query].append(row.astype(np.float16))

        for event in session.run(args.recording, max_seconds=args.max_seconds, on_window=keep):
            name = event.stream
    if not times:
        raise InputError(f"{args.recording} shows no whole window to score: give a longer recording or part")
    windows = np.array(times, np.float64)
    seen = {query: np.stack(each).astype(np.float32) for query, each in rows.items()}
    return [
        [ScoreSeries(stream=name, windows=windows, scores=score(seen[alert.query or first]))]
        for alert, score in zip(alerts, scorers)
    ]


def marks_of(text: str, streams: Sequence[str]) -> dict[str, list[float]]:
    """Marked moments: `T1,T2` in seconds, or a file with one on each line, `SECONDS` or `STREAM,SECONDS`."""
    found: dict[str, list[float]] = {}
    for line in arguments.read_lines(Path(text)) if _is_file(text) else text.split(","):
        stream, comma, moment = line.rpartition(",")
        if not comma and len(set(streams)) != 1:
            raise InputError(f"expected STREAM,SECONDS, for there are several streams, got {line!r}")
        found.setdefault(stream.strip() if comma else streams[0], []).append(_seconds(moment))
    return found


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a long list of moments is too long for a name
        return False


def _seconds(text: str) -> float:
    """`83.5`, `1:23.5` or `0:01:23.5`."""
    try:
        parts = [float(part) for part in text.strip().split(":")]
    except ValueError:
        parts = []
    if not parts or len(parts) > 3 or not all(0 <= part < float("inf") for part in parts):
        raise InputError(
            f"expected a moment in seconds or as H:MM:SS, or a file of them, got {text.strip()!r}"
        )
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))
