"""Clips of one's own as commands take them: their options, which file is meant, and a look at every video first."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_data.annotations import AnnotationFile

__all__ = ["add_arguments", "add_file", "look_at", "named"]


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
