"""`vljepa index`: the embeddings of videos into a log, so that they can be searched by words. Nothing is decoded."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_apps.scope import tell_scope
from vljepa_runtime.errors import InputError, SourceError

if TYPE_CHECKING:
    from vljepa_log import LogWriter
    from vljepa_runtime import Model

EXAMPLE = "vljepa index recordings/ door.mp4 --out LOG"
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
"""What is taken from a folder of recordings; a folder without any is one source, of pictures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=f"{arguments.SOURCE_HELP}; or of videos")
    parser.add_argument(
        "--out", required=True, metavar="LOG", help="folder of the log, which may be there already"
    )
    parser.add_argument("--bundle", default="tiny", metavar="BUNDLE", help="default: tiny, the shipped one")
    parser.add_argument("--query", metavar="Q", help="what to ask of every window (default: for a caption)")
    arguments.add_number(
        parser, "--stride", 1.0, "seconds between windows", kind=arguments.positive, metavar="S"
    )
    parser.add_argument("--max-seconds", type=arguments.positive, metavar="S", help="of each source")
    arguments.add_engine(parser)
    arguments.add_retention(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Index one source after the other; exit code 1 when one of them failed."""
    from vljepa_log import LogWriter

    sources = list(expanded(args.sources))
    model = arguments.load_model(args)
    tell_scope(model, sources[0], quiet=args.quiet or args.json)
    retention = arguments.retention_of(args)
    with LogWriter(args.out, model.bundle.manifest, retention=retention, boundaries=model.boundaries) as log:
        found = [index_one(args, model, source, log) for source in sources]
        if retention:
            log.flush()
            log.retain()
    console.report({"log": args.out, "sources": found}, lambda: text(args.out, found), as_json=args.json)
    return 1 if any(each["error"] for each in found) else 0


def expanded(sources: Iterable[str]) -> Iterator[str]:
    """Sources, and in the place of a folder of videos its videos, by name."""
    for source in sources:
        folder = Path(source)
        videos = (
            sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
            if folder.is_dir()
            else []
        )
        yield from map(str, videos) if videos else [source]


def index_one(args: argparse.Namespace, model: Model, source: str, log: LogWriter) -> dict[str, Any]:
    """What became of one source; one that cannot be read does not end the others."""
    from vljepa_log import Indexed, index_source
    from vljepa_runtime.sources import source_name

    def told(end_s: float) -> None:
        progress.update(end_s, detail=f"{console.duration(end_s)} of {name}")

    name, failed = source, ""
    with console.Progress("indexing") as progress:
        try:
            name = source_name(source)
            done = index_source(
                model, source, log, query=args.query, stride_s=args.stride, max_seconds=args.max_seconds,
                on_window=told,
            )  # fmt: skip
        except (SourceError, InputError) as error:
            done, failed = Indexed(stream=name, windows=0, end_s=0.0), str(error)
    return {
        "stream": name, "windows": done.windows, "end_s": round(done.end_s, 3), "skipped": done.skipped,
        "stored_stride_s": done.stored_stride_s, "error": failed,
    }  # fmt: skip


def text(out: str, found: list[dict[str, Any]]) -> str:
    """What became of them, for people."""
    rows = [(each["stream"], each["windows"], each["error"] or until(each)) for each in found]
    return f"{out}:\n{console.table(rows, header=('stream', 'windows', 'until'))}"


def until(source: dict[str, Any]) -> str:
    """How far a source is in the log."""
    if not source["skipped"]:
        return console.duration(source["end_s"])
    if source["stored_stride_s"] is None:
        return "was indexed before"
    stride = f"{source['stored_stride_s']:.2g}"
    return f"was indexed before, a window each {stride} s: for a finer --stride begin another log with --out"
