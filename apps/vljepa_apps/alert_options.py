"""Alerts as commands take them: from options, from a file, and where their clips go."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_runtime import Model
    from vljepa_runtime.alerts import Alert, AlertFile, ClipFolder

__all__ = ["add_alerts", "alerts_from", "check_alerts", "clips_from"]


def add_alerts(parser: argparse.ArgumentParser) -> None:
    """--alert, --alert-threshold, --alerts, --clips and what belongs to them."""
    group = parser.add_argument_group(
        "alerts", "told when they begin and when they end, as events of kind alert"
    )
    group.add_argument(
        "--alert",
        action="append",
        default=[],
        metavar="WORDS",
        help="tell when this is seen; may be repeated",
    )
    group.add_argument(
        "--alert-threshold",
        type=float,
        metavar="SCORE",
        help="cosine from which on --alert is told (default: by its words; calibrate finds better ones)",
    )
    group.add_argument(
        "--alerts", type=Path, metavar="FILE.json", help="alerts of a file, as calibrate writes it"
    )
    group.add_argument(
        "--clips", type=Path, metavar="DIR", help="keep a clip of each alert in DIR, from before it began"
    )
    arguments.add_number(
        group, "--look-back", 10, "seconds of a clip before", kind=arguments.non_negative, metavar="S"
    )
    arguments.add_number(
        group, "--look-ahead", 5, "seconds of a clip after", kind=arguments.non_negative, metavar="S"
    )


def alerts_from(args: argparse.Namespace) -> AlertFile | None:
    """The alerts that the options name; None where there is none."""
    from vljepa_runtime.alerts import Alert, AlertFile, read_alerts

    if args.alert_threshold is not None and not args.alert:
        raise InputError("--alert-threshold is that of --alert: name what is looked for")
    found = [Alert(text=words, threshold=args.alert_threshold) for words in dict.fromkeys(args.alert)]
    file = None if args.alerts is None else read_alerts(args.alerts)
    if file is not None:
        return replace(file, alerts=(*found, *file.alerts))
    return AlertFile(alerts=tuple(found)) if found else None


def check_alerts(alerts: AlertFile | None, model: Model) -> tuple[Alert, ...] | None:
    """The alerts for a session of this model, whose scores their thresholds must be for."""
    if alerts is None:
        return None
    if alerts.model:
        from vljepa_runtime.bundle import identity_of

        alerts.check_model(identity_of(model.bundle.manifest))
    return alerts.alerts


def clips_from(args: argparse.Namespace) -> ClipFolder | None:
    """Where clips go, where they are wanted."""
    if args.clips is None:
        return None
    if not (args.alert or args.alerts):
        raise InputError("--clips keeps clips of alerts: name one with --alert or --alerts")
    from vljepa_runtime.alerts import ClipFolder

    return ClipFolder(folder=args.clips, look_back_s=args.look_back, look_ahead_s=args.look_ahead)
