"""`vljepa doctor`: versions, and every engine tried with a real run: what runs, how fast, how equal."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from vljepa_apps import arguments, console, tables

EXAMPLE = "vljepa doctor"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser, optional=True)
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found; exit code 1 when no engine runs."""
    from vljepa_apps.measure import doctor

    found = doctor.diagnose(args.bundle)
    console.report(asdict(found), lambda: tables.text(doctor.tables(found)), as_json=args.json)
    return 0 if any(trial.runs for trial in found.engines) else 1
