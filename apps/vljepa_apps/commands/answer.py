"""`vljepa answer`: a question about a past moment, from candidates and what the log keeps of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vljepa_apps import answers, arguments, console, wall_time
from vljepa_apps.scope import tell_unknown
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_log import LogReader, Segment
    from vljepa_runtime import Model

EXAMPLE = "vljepa answer LOG 'What colour is the ball?' --at 12.5 --label red --label blue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_log(parser, query=False)
    arguments.add_question(parser)
    parser.add_argument(
        "--at", type=wall_time.stream_or_wall, required=True, metavar="T",
        help="of the moment: seconds of the stream, or a time such as 2026-11-27T08:00",
    )  # fmt: skip
    arguments.add_engine(parser)
    arguments.add_json(parser)
    arguments.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Print the ranked candidates, or the words of an answer where the log was asked that very question."""
    from vljepa_log import LogReader

    candidates = arguments.texts_from(args.label, args.labels)
    model = arguments.load_model(args)
    with LogReader(args.log, model.bundle.manifest) as log:
        moment = meant(args, model, log)
    was_asked = moment.query == args.question
    if not was_asked and not candidates:
        raise InputError(
            f"the log was asked {moment.query!r} and not {args.question!r}, and frames are gone: pass --label with "
            "possible answers, which are compared with what it keeps"
        )
    if not was_asked and not args.quiet:
        console.note(f"note: compared with what the log keeps of that moment, the answer to {moment.query!r}")
    tell_unknown(model, moment.unknown, quiet=args.quiet or args.json)
    ranked = model.rank(moment.embedding, candidates)[: args.top] if candidates else ()
    words = "" if ranked else model.decode(moment.embedding)
    asked = {
        "stream": moment.stream,
        "start_s": round(moment.start_s, 3),
        "end_s": round(moment.end_s, 3),
        "time": wall_time.iso(moment.time),
        "question": args.question,
        "asked": moment.query,
        "unknown": moment.unknown,
    }
    answers.print_answer(asked, ranked, words, as_json=args.json)
    return 0


def meant(args: argparse.Namespace, model: Model, log: LogReader) -> Segment:
    """The window of that moment, for that very question if it was asked, else for a caption."""
    from vljepa_log import Where, windows_at

    at, wall = args.at
    found = windows_at(log, at, wall=wall, where=Where(streams=tuple(args.stream)))
    if len({each.stream for each in found}) > 1:
        streams = ", ".join(sorted({each.stream for each in found}))
        raise InputError(f"several streams have that moment, name one with --stream: {streams}")
    by_query = {each.query: each for each in found}
    for query in (args.question, model.prompts.get("caption")):
        if query in by_query:
            return by_query[query]
    return found[0]
