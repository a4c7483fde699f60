"""`vljepa alerts`: thresholds from recordings, and what alerts give on them; nothing of a log is encoded anew."""

from __future__ import annotations

import argparse

from vljepa_apps.commands.alerts import calibrate, test

EXAMPLE = "vljepa alerts calibrate LOG --alert 'a person lies on the floor' --per-day 2 --out alerts.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of each kind."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    calibrate.add_arguments(
        kinds.add_parser(
            "calibrate",
            help="a threshold for so many alerts a day, or from marked moments",
            description="Find the threshold of an alert on a log or a recording, and say what is to be expected.",
        )
    )
    test.add_arguments(
        kinds.add_parser(
            "test",
            help="what alerts give on a log or a recording",
            description="Play a log or a recording through the alerts of a file.",
        )
    )


def run(args: argparse.Namespace) -> int:
    """Do what the kind says."""
    kinds = {"calibrate": calibrate.run, "test": test.run}
    return kinds[args.kind](args)
