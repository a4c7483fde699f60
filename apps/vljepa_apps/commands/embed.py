"""`vljepa embed`: the embedding of a clip, of texts, or both with their similarity."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_apps import arguments, console
from vljepa_apps.outputs import refuse_existing
from vljepa_apps.scope import tell_scope
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import replace_file

SHOWN = 4  # values of a row that the text output shows

EXAMPLE = "vljepa embed tiny clip.mp4 --text 'a red ball rolls' --out rows.npy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    arguments.add_clip(parser, optional=True)
    parser.add_argument(
        "--text", action="append", default=[], metavar="TEXT", help="embed TEXT too; may be repeated"
    )
    parser.add_argument("--query", metavar="Q", help="what to ask the predictor about the clip")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.npy", help="write the rows (R, S) float32 to FILE.npy"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE.npy if it exists")
    arguments.add_engine(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Print one row for the clip and one for each text."""
    if args.source is None and not args.text:
        raise InputError("expected something to embed, got nothing: name a SOURCE, pass --text TEXT, or both")
    refuse_existing([args.out], force=args.force, inputs=(args.source, args.bundle))
    names, rows = embeddings(args)
    if args.out:
        replace_file(args.out, lambda file: np.save(file, rows), overwrite=args.force)
        console.note(f"wrote {args.out}: {rows.shape[0]} x {rows.shape[1]} float32")
    if args.json:
        results = [{"of": name, "embedding": row.tolist()} for name, row in zip(names, rows)]
        console.document({"query": args.query, "results": results})
        return 0
    lines = [
        (
            name,
            f"cosine {float(row @ rows[0]):6.3f}",
            " ".join(f"{value:7.4f}" for value in row[:SHOWN]) + " ...",
        )
        for name, row in zip(names, rows)
    ]
    console.result(console.table(lines, indent=""))
    return 0


def embeddings(args: argparse.Namespace) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Names and rows (R, S): the clip first, then the texts."""
    from vljepa_runtime.sources import source_name

    model = arguments.load_model(args)
    names, rows = [], []
    if args.source is not None:
        clip = arguments.read_clip(args, model)
        tell_scope(model.bundle, args.source, quiet=args.quiet or args.json)
        names.append(source_name(args.source))
        rows.append(model.embed(clip, query=args.query)[None])
    if args.text:
        names.extend(args.text)
        rows.append(model.embed_text(args.text))
    return names, np.concatenate(rows).astype(np.float32)
