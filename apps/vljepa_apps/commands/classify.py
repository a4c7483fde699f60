"""`vljepa classify`: rank labels in the user's own words for a clip."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import answers, arguments, console
from vljepa_apps.scope import judge_clip, tell_scope
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_data.annotations import Vocabulary
    from vljepa_runtime import Clip, Model, Scored

EXAMPLE = "vljepa classify tiny clip.mp4 --label 'a red ball rolls' --label 'a blue box falls'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    arguments.add_clip(parser)
    arguments.add_labels(parser, what="a label")
    parser.add_argument(
        "--templates",
        type=Path,
        metavar="FILE",
        help="sentences with {} for a label, one on each line; the mean of their embeddings stands for it",
    )
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

    words = vocabulary(args)
    labels = words.labels
    if not labels:
        raise InputError("expected labels, got none: pass --label TEXT (repeatable) or --labels FILE")
    model = arguments.load_model(args)
    clip = arguments.read_clip(args, model)
    tell_scope(model.bundle, args.source, quiet=args.quiet or args.json)
    unknown = judge_clip(model, clip, quiet=args.quiet or args.json)
    ranked = ranking(model, clip, words, args.query)[: args.top]
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


def vocabulary(args: argparse.Namespace) -> Vocabulary:
    """What --label, --labels and --templates name.

    Raises:
        InputError: --label came with embeddings that were made before.
        AnnotationError: a file is wrong.
    """
    from vljepa_data.annotations import Vocabulary

    if args.labels and args.labels.suffix.lower() == ".npz":
        if args.label:
            raise InputError(f"expected no --label with {args.labels}, whose embeddings are made already")
        return Vocabulary.read(args.labels, args.templates)
    labels = arguments.texts_from(args.label, args.labels)
    return replace(Vocabulary.read(None, args.templates), labels=labels)


def ranking(model: Model, clip: Clip, words: Vocabulary, query: str | None) -> tuple[Scored, ...]:
    """All labels, best first."""
    from vljepa_evaluation.tasks import label_rows
    from vljepa_runtime import Scored

    if not words.templates and not words.embeddings.size:
        return model.classify(clip, words.labels, query=query)
    embedding = model.embed(clip, query or model.prompts.get("classify"))
    scores = label_rows(model, words.labels, words) @ embedding
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return tuple(Scored(label=words.labels[index], score=float(scores[index])) for index in order)
