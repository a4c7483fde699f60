"""`vljepa bench`: one bundle on this machine: its graphs, a window, a stream, and how much is not inference."""

from __future__ import annotations

import argparse

from vljepa_apps import arguments, console, tables

SECONDS = 60.0

EXAMPLE = "vljepa bench tiny --source clip.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser, optional=True)
    parser.add_argument(
        "--source",
        metavar="FILE",
        help="video to run on (default: a stream of the procedural world as an H.264 file)",
    )
    arguments.add_number(parser, "--seconds", SECONDS, "of that stream", kind=arguments.positive, metavar="S")
    arguments.add_tokens(parser)
    arguments.add_number(parser, "--rounds", 100, "timed runs per cell")
    arguments.add_json(parser)
    arguments.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Print latency per graph and the shares of a stream's time; exit code 1 when a graph cannot be timed."""
    from vljepa_apps.measure import bench
    from vljepa_apps.measure.subject import Subject

    model = arguments.load_model(args)
    subject = Subject(spec=args.bundle, **arguments.engine_options(args))
    found = bench.bench(
        model,
        subject,
        source=args.source,
        seconds=args.seconds,
        rounds=args.rounds,
        tokens=args.tokens,
        carry_s=args.carry,
    )
    console.report(
        found.to_dict(),
        lambda: f"{tables.text(bench.tables(found))}\n  {bench.summary(found.stream)}",
        as_json=args.json,
    )
    return 1 if found.failed else 0
