"""Annotated clips as commands take them: published data sets, files of one's own, and a look at every video first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_data.annotations import AnnotationFile, DataSpec

__all__ = ["add_arguments", "add_data", "add_file", "data_specs", "look_at", "look_at_data", "named"]


def add_arguments(parser: argparse.ArgumentParser, flag: str, what: str) -> None:
    """FLAG FILE as `args.own`, and what says how it is read; see `named`."""
    group = parser.add_argument_group("clips of your own")
    add_file(group, flag, dest="own", what=f"; {what}", split="this part of FILE only")


def add_file(group: argparse._ArgumentGroup, flag: str, *, dest: str, what: str, split: str) -> None:
    """FLAG FILE with --data-format, --videos and --split.

    Args:
        group: Declares them.
        flag: What names the file.
        dest: Where it goes in the parsed arguments.
        what: Ends the file's help.
        split: Help of --split.
    """
    from vljepa_data.annotations import ANNOTATION_FORMATS

    group.add_argument(
        flag, type=Path, metavar="FILE", dest=dest,
        help=f"clips and texts: manifest (.csv, .jsonl), MSR-VTT, MSVD or Kinetics{what}",
    )  # fmt: skip
    group.add_argument(
        "--data-format", default="auto", choices=("auto", *ANNOTATION_FORMATS), help="of FILE (default: auto)"
    )
    group.add_argument(
        "--videos", type=Path, metavar="DIR", help="folder of the videos (default: FILE's own)"
    )
    group.add_argument("--split", metavar="NAME", help=split)


def named(args: argparse.Namespace, flag: str) -> AnnotationFile | None:
    """The file that `add_arguments` declared; None where it was not given.

    Raises:
        InputError: --videos or --split came without it.
    """
    from vljepa_data.annotations import AnnotationFile

    if args.own is None:
        if args.videos or args.split:
            raise InputError(f"expected {flag} FILE with --videos or --split, got them alone")
        return None
    videos = str(args.videos) if args.videos else None
    return AnnotationFile(path=str(args.own), format=args.data_format, videos=videos, split=args.split)


def look_at(own: AnnotationFile) -> None:
    """Open every clip up to its first picture, so that a missing one is told before an hour of work.

    Raises:
        AnnotationError: the file cannot be read.
        SourceError: a video is missing or broken.
    """
    from vljepa_data.annotations import by_segment, require_readable

    segments = by_segment(own.read())
    with console.Progress("looking at clips", total=len(segments)) as progress:
        require_readable(segments, on_progress=progress.update)


def add_data(parser: argparse.ArgumentParser) -> None:
    """--data NAME=DIR|FILE, which may come several times, and what says how it is measured; see `data_specs`."""
    from vljepa_apps import arguments
    from vljepa_data.annotations import ANNOTATION_FORMATS

    group = parser.add_argument_group("data sets")
    group.add_argument(
        "--data", action="append", default=[], metavar="NAME=DIR|FILE",
        help="a published data set in the folder that it was unpacked into (see docs/datasets.md), or clips and texts "
        "of your own: manifest (.csv, .jsonl), MSR-VTT, MSVD or Kinetics file, also as NAME=FILE; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--limit", type=arguments.positive_int, metavar="N",
        help="N clips of each set at most (of long videos, videos), spread evenly over its list",
    )  # fmt: skip
    group.add_argument(
        "--prompt", action="append", default=[], metavar="TASK=TEXT",
        help="what is asked for a task, such as retrieval (default: the paper's prompt); may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="labels or answers to choose from, one on each line, or an .npz with labels and embeddings (default: "
        "those of the set)",
    )  # fmt: skip
    group.add_argument(
        "--templates", type=Path, metavar="FILE",
        help="sentences with {} for a label, one on each line; the mean of their embeddings stands for it",
    )  # fmt: skip
    group.add_argument(
        "--data-format", default="auto", choices=("auto", *ANNOTATION_FORMATS), help="of FILE (default: auto)"
    )
    group.add_argument(
        "--videos", type=Path, metavar="DIR", help="folder of the videos of FILE (default: FILE's own)"
    )
    group.add_argument("--split", metavar="NAME", help="this part of FILE only")


def data_specs(args: argparse.Namespace) -> tuple[DataSpec, ...]:
    """The data sets that `add_data` declared.

    Raises:
        InputError: options came without any, a prompt names no task, or two sets have one name.
        AnnotationError: a set is not named as `open_data` wants it.
    """
    from vljepa_data.annotations import DataSpec

    options = ("limit", "prompt", "labels", "templates", "videos", "split")
    if not args.data and (alone := [f"--{name}" for name in options if getattr(args, name)]):
        raise InputError(f"expected --data with {', '.join(alone)}, got none")
    prompts = dict(_prompt(text) for text in args.prompt)
    paths = {
        name: str(value) if (value := getattr(args, name)) else None
        for name in ("labels", "templates", "videos")
    }
    specs = tuple(
        DataSpec(
            spec=spec, limit=args.limit, prompts=prompts, format=args.data_format, split=args.split, **paths
        )
        for spec in args.data
    )
    names = [spec.name for spec in specs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"expected data sets of different names, got {twice!r} twice: write NAME=FILE")
    return specs


def look_at_data(specs: Sequence[DataSpec]) -> None:
    """Read every set; of files of one's own, open the clips, so that a missing one is told before an hour of work.

    Raises:
        AnnotationError: a file cannot be read, or none of a set's videos is there.
        SourceError: a video of a file of one's own is missing or broken.
    """
    from vljepa_data.annotations import require_readable

    for spec in specs:
        with console.Progress(f"reading {spec.name}", total=1.0) as progress:
            data = spec.open(progress.update)
        if data.published:  # of those, what cannot be read is left out and counted
            continue
        segments = data.segments()
        with console.Progress(f"looking at {spec.name}", total=len(segments)) as progress:
            require_readable(segments, on_progress=progress.update)


def _prompt(text: str) -> tuple[str, str]:
    """`TASK=TEXT` in two."""
    task, equals, prompt = text.partition("=")
    if not equals or not task.strip() or not prompt.strip():
        raise InputError(f"expected --prompt TASK=TEXT, got {text!r}")
    return task.strip(), prompt.strip()
