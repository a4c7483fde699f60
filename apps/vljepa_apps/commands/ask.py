"""`vljepa ask`: answer a question about a clip, from candidates or in the Y-decoder's words."""

from __future__ import annotations

import argparse

from vljepa_apps import answers, arguments
from vljepa_apps.scope import judge_clip, tell_scope

EXAMPLE = "vljepa ask tiny clip.mp4 'What colour is the ball?' --label red --label blue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    arguments.add_clip(parser)
    arguments.add_question(parser)
    arguments.add_engine(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Print the ranked candidates, or the decoded answer when there are none."""
    from vljepa_runtime.sources import source_name

    candidates = arguments.texts_from(args.label, args.labels)
    model = arguments.load_model(args)
    clip = arguments.read_clip(args, model)
    tell_scope(model.bundle, args.source, quiet=args.quiet or args.json)
    asked = {
        "source": source_name(args.source),
        "engine": model.engine_name,
        "question": args.question,
        "unknown": judge_clip(model, clip, quiet=args.quiet or args.json),
    }
    ranked = model.answer(clip, args.question, candidates)[: args.top] if candidates else ()
    words = "" if ranked else model.decode(model.embed(clip, query=args.question))
    answers.print_answer(asked, ranked, words, as_json=args.json)
    return 0
