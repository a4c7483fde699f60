"""`vljepa classify`: rank labels in the user's own words for a clip."""

from __future__ import annotations

import argparse

from vljepa_apps import answers, arguments, console
from vljepa_apps.scope import judge_clip, tell_scope
from vljepa_runtime.errors import InputError

EXAMPLE = "vljepa classify tiny clip.mp4 --label 'a red ball rolls' --label 'a blue box falls'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    arguments.add_clip(parser)
    arguments.add_labels(parser, what="a label")
    parser.add_argument(
        "--query", metavar="Q", help="what to ask the predictor (default: the bundle's own prompt)"
    )
    arguments.add_number(parser, "--top", 5, "labels to print", metavar="K")
    arguments.add_engine(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Print the best labels with their scores."""
    from vljepa_runtime.sources import source_name

    labels = arguments.texts_from(args.label, args.labels)
    if not labels:
        raise InputError("expected labels, got none: pass --label TEXT (repeatable) or --labels FILE")
    model = arguments.load_model(args)
    clip = arguments.read_clip(args, model)
    tell_scope(model, args.source, quiet=args.quiet or args.json)
    unknown = judge_clip(model, clip, quiet=args.quiet or args.json)
    ranked = model.classify(clip, labels, query=args.query)[: args.top]
    found = {
        "source": source_name(args.source),
        "engine": model.engine_name,
        "query": args.query,
        "labels": len(labels),
        "unknown": unknown,
        "results": answers.plain(ranked),
    }
    console.report(found, lambda: answers.text(ranked), as_json=args.json, indent=None)
    return 0
