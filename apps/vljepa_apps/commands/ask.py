"""`vljepa ask`: answer a question about a clip, from candidates or in the Y-decoder's words."""

from __future__ import annotations

import argparse

from vljepa_apps import arguments, console
from vljepa_apps.scope import tell_scope

EXAMPLE = "vljepa ask tiny clip.mp4 'What colour is the ball?' --label red --label blue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    arguments.add_clip(parser)
    parser.add_argument("question", metavar="QUESTION", help="for example 'What colour is the ball?'")
    arguments.add_labels(parser, what="a possible answer")
    arguments.add_number(parser, "--top", 5, "answers to print", metavar="K")
    arguments.add_engine(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Print the ranked candidates, or the decoded answer when there are none."""
    from vljepa_runtime.sources import source_name

    candidates = arguments.texts_from(args.label, args.labels)
    model = arguments.load_model(args)
    clip = arguments.read_clip(args, model)
    tell_scope(model, args.source, quiet=args.quiet or args.json)
    result: dict[str, object] = {
        "source": source_name(args.source),
        "engine": model.engine_name,
        "question": args.question,
    }
    if candidates:
        ranked = model.answer(clip, args.question, candidates)[: args.top]
        result |= {"answer": ranked[0].label, "decoded": False}
        result["results"] = [{"label": scored.label, "score": round(scored.score, 4)} for scored in ranked]
        text = console.table([(scored.label, f"{scored.score:.3f}") for scored in ranked], indent="")
    else:
        text = model.decode(model.embed(clip, query=args.question))
        result |= {"answer": text, "decoded": True}
    console.report(result, lambda: text, as_json=args.json, indent=None)
    return 0
