"""`vljepa alerts calibrate`: the threshold of an alert, what is to be expected of it, and the file that `run` reads."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_apps.commands.alerts import recordings

if TYPE_CHECKING:
    from vljepa_evaluation.metrics import Estimate
    from vljepa_runtime.alerts import Alert, AlertFile, Calibrated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    recordings.add_arguments(parser)
    parser.add_argument("--alert", required=True, metavar="WORDS", help="what shall be told")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="WORDS",
        help="what else may be seen; may be repeated",
    )
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--per-day",
        type=arguments.positive,
        metavar="N",
        help="alerts a day that are wanted; nothing need be marked",
    )
    wanted.add_argument(
        "--marked", metavar="FILE|T1,T2", help="moments at which it shall be told, all of the recording's: seconds or "
        "H:MM:SS; in a file one a line, with STREAM, before it where a log has several"
    )  # fmt: skip
    seconds: dict[str, Any] = {"kind": arguments.non_negative, "metavar": "S"}
    arguments.add_number(parser, "--hold", 1.0, "seconds that it must be seen", **seconds)
    arguments.add_number(parser, "--cool-down", 10.0, "seconds of silence after an end", **seconds)
    arguments.add_number(
        parser, "--release", 0.05, "how far the score must fall", kind=arguments.non_negative, metavar="SCORE"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="put the alert into FILE, beside others of the same model",
    )
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Score, choose, say what to expect, and write."""
    from vljepa_runtime.alerts import Alert, calibrate_marked, calibrate_rate
    from vljepa_runtime.bundle import identity_of

    alert = Alert(
        text=args.alert, against=tuple(args.against), hold_s=args.hold, release=args.release,
        cool_down_s=args.cool_down,
    )  # fmt: skip
    model = arguments.load_model(args)
    identity = identity_of(model.bundle.manifest)
    before = _before(args.out, identity)
    alert = replace(alert, query=recordings.asked(args, model))
    (series,) = recordings.scored(args, model, [alert])
    if args.per_day is not None:
        found = calibrate_rate(alert, series, per_day=args.per_day)
    else:
        marks = recordings.marks_of(args.marked, [each.stream for each in series])
        found = calibrate_marked(alert, series, marks)
    if args.out is not None:
        _write(args.out, found.alert, before, identity)
    report = _report(found)
    console.report(report, lambda: _text(args.out, report), as_json=args.json)
    return 0


def _before(out: Path | None, identity: dict[str, str]) -> AlertFile | None:
    """The file that is added to."""
    from vljepa_runtime.alerts import read_alerts
    from vljepa_runtime.files import check_output

    if out is None:
        return None
    check_output(out, overwrite=True)
    if not out.exists():
        return None
    before = read_alerts(out)
    before.check_model(identity)
    return before


def _write(out: Path, alert: Alert, before: AlertFile | None, identity: dict[str, str]) -> None:
    from vljepa_runtime.alerts import AlertFile
    from vljepa_runtime.files import replace_file
    from vljepa_runtime.printable import json_text

    others = [each for each in before.alerts if each.text != alert.text] if before else []
    file = AlertFile(alerts=(*others, alert), model=identity)
    replace_file(out, (json_text(file.to_dict(), indent=1) + "\n").encode())


def _report(found: Calibrated) -> dict[str, Any]:
    """What is known of a threshold."""
    from vljepa_evaluation.metrics import mean_of, rate_of

    def share(hits: int, of: int) -> dict[str, float] | None:
        samples = [1.0] * hits + [0.0] * (of - hits)
        return _rounded(mean_of(samples, span=(0, 1))) if samples else None

    rate = _rounded(rate_of(len(found.spans), found.days))
    report: dict[str, Any] = {
        "alert": found.alert.text,
        "threshold": found.alert.threshold,
        "days": round(found.days, 4),
        "alerts": len(found.spans),
        "per_day": {**rate, "value": round(found.per_day, 3)},
        "guessed": found.guessed,
    }
    if found.marks:
        report["precision"] = share(found.right, len(found.spans))
        report["recall"] = share(found.found, found.marks)
    return report


def _rounded(estimate: Estimate) -> dict[str, float]:
    return {key: round(value, 3) for key, value in asdict(estimate).items()}


def _text(out: Path | None, report: dict[str, Any]) -> str:
    rate = report["per_day"]
    watched = console.duration(report["days"] * 86_400)
    interval = f"95 %: {rate['low']:g} to {rate['high']:g}"
    lines = [
        f"{report['alert']}: threshold {report['threshold']:.4f}",
        f"  {report['alerts']} alerts in {watched}; expect {rate['value']:g} a day ({interval})",
    ]
    if report["guessed"]:
        lines.append(
            "  the recording is too short to see so few: the highest scores were continued beyond it; "
            "calibrate again on a longer one"
        )
    for name, of in (("precision", "alerts have a mark"), ("recall", "marks have an alert")):
        if share := report.get(name):
            hits = round(share["value"] * share["n"])
            lines.append(
                f"  {name} {share['value']:.2f} (95 %: {share['low']:.2f} to {share['high']:.2f}): "
                f"{hits} of {share['n']} {of}, on the recording it was chosen on"
            )
    if out is not None:
        lines.append(f"wrote {out}; next: vljepa run BUNDLE SOURCE --alerts {out}")
    return "\n".join(lines)
