"""`vljepa index`: the embeddings of videos into a log, so that they can be searched by words. Nothing is decoded."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_apps.cluster import ray_cluster
from vljepa_apps.scope import tell_scope

if TYPE_CHECKING:
    from vljepa_log import Indexed, LogWriter
    from vljepa_runtime import Bundle, Model
    from vljepa_runtime.selection import Boundaries

EXAMPLE = "vljepa index recordings/ door.mp4 --out LOG"
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
"""What is taken from a folder of recordings; a folder without any is one source, of pictures."""
WAITING = "gathered"


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
    ray_cluster.add_place(parser)
    arguments.add_retention(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Index one source after the other, or share them; exit code 1 when one of them failed."""
    place = ray_cluster.place_of(args)
    found, engines = indexed(args) if place is None else indexed_on(args, place)
    sources = [shown(each) for each in found]
    report = {"log": args.out, "sources": sources, **({"engines": engines} if place else {})}
    console.report(report, lambda: text(args.out, sources), as_json=args.json)
    if len(engines) > 1:
        console.note(f"note: workers computed with {' and '.join(engines)}: name one with --engine")
    return 1 if any(each.error for each in found) else 0


def indexed(args: argparse.Namespace) -> tuple[list[Indexed], list[str]]:
    """What this process made of each source; one that cannot be read does not end the others."""
    sources = list(expanded(args.sources))
    model = arguments.load_model(args)
    tell_scope(model.bundle, sources[0], quiet=args.quiet or args.json)
    with opened(args, model.bundle, model.boundaries) as log:
        return [index_one(args, model, source, log) for source in sources], [model.engine_name]


def indexed_on(args: argparse.Namespace, place: ray_cluster.Place) -> tuple[list[Indexed], list[str]]:
    """What the workers of a cluster made of each source."""
    from vljepa_apps.cluster.indexing import index_on
    from vljepa_runtime import Bundle

    sources = list(expanded(args.sources))
    bundle = Bundle.open(args.bundle)
    tell_scope(bundle, sources[0], quiet=args.quiet or args.json)
    asked = {
        "query": args.query or bundle.manifest.prompts["caption"], "stride_s": args.stride,
        "max_seconds": args.max_seconds,
    }  # fmt: skip
    model = {"path": args.bundle, **arguments.engine_options(args), "threads": place.threads}
    with opened(args, bundle, None) as log:
        return index_on(
            place, sources, log, bundle=bundle, model=model, asked=asked, folder=waiting_in(log, args.out)
        )


@contextmanager
def opened(args: argparse.Namespace, bundle: Bundle, boundaries: Boundaries | None) -> Iterator[LogWriter]:
    """The log, and what it does not keep gone at the end."""
    from vljepa_log import LogWriter

    retention = arguments.retention_of(args)
    with LogWriter(args.out, bundle.manifest, retention=retention, boundaries=boundaries) as log:
        yield log
        if retention:
            log.flush()
            log.retain()


def waiting_in(log: LogWriter, place: str) -> Path:
    """Where results of a cluster wait for those before them: in the log's folder, or else in this user's cache."""
    if log.folder:
        return log.folder / WAITING
    return Path.home() / ".cache" / "vljepa" / WAITING / hashlib.sha256(place.encode()).hexdigest()[:32]


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


def index_one(args: argparse.Namespace, model: Model, source: str, log: LogWriter) -> Indexed:
    """What became of one source."""
    from vljepa_log import try_source

    def told(end_s: float) -> None:
        progress.update(end_s, detail=f"{console.duration(end_s)} of {source}")

    with console.Progress("indexing") as progress:
        return try_source(
            model, source, log, query=args.query, stride_s=args.stride, max_seconds=args.max_seconds,
            on_window=told,
        )  # fmt: skip


def shown(done: Indexed) -> dict[str, Any]:
    """As `--json` has it."""
    return {
        "stream": done.stream, "windows": done.windows, "end_s": round(done.end_s, 3), "skipped": done.skipped,
        "stored_stride_s": done.stored_stride_s, "error": done.error,
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
