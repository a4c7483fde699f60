"""`vljepa alerts test`: a recording through the alerts of a file, by the same states as when a stream runs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_apps.commands.alerts import recordings

if TYPE_CHECKING:
    from vljepa_runtime.alerts import AlertSpan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    recordings.add_arguments(parser)
    parser.add_argument(
        "--alerts", type=Path, required=True, metavar="FILE.json", help="as calibrate writes it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line instead of text")


def run(args: argparse.Namespace) -> int:
    """Print what each alert would have told, in order of time."""
    from vljepa_runtime.alerts import alert_spans, read_alerts, with_threshold
    from vljepa_runtime.bundle import identity_of

    file = read_alerts(args.alerts)
    model = arguments.load_model(args)
    file.check_model(identity_of(model.bundle.manifest))
    alerts = [with_threshold(alert, model.embed_text) for alert in file.alerts]
    every = recordings.scored(args, model, alerts)
    found = [
        (alert.text, span) for alert, series in zip(alerts, every) for span in alert_spans(alert, series)
    ]
    found.sort(key=lambda each: (each[1].stream, each[1].start_s))
    if args.json:
        for text, span in found:
            console.document({"text": text, **_rounded(span)})
        return 0
    days = {alert.text: sum(each.seconds for each in series) / 86_400 for alert, series in zip(alerts, every)}
    console.result(_text(found, days))
    return 0


def _rounded(span: AlertSpan) -> dict[str, Any]:
    return {
        key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(span).items()
    }


def _text(found: list[tuple[str, AlertSpan]], days: dict[str, float]) -> str:
    """The alerts and how many there are a day, for people."""
    from vljepa_evaluation.metrics import rate_of

    rows = [
        (
            f"{span.start_s:.1f} to {span.end_s:.1f} s",
            f"{span.told_s:.1f} s",
            f"{span.score:.3f}",
            span.stream,
            text,
        )
        for text, span in found
    ]
    counts = []
    for text, watched in days.items():
        rate = rate_of(sum(each == text for each, _ in found), watched)
        counts.append((text, rate.n, f"{rate.value:.3g} (95 %: {rate.low:.3g} to {rate.high:.3g})"))
    parts = [console.table(counts, header=("alert", "times", "a day"))]
    if rows:
        parts.insert(0, console.table(rows, header=("in stream time", "told at", "score", "stream", "alert")))
    return "\n\n".join(parts)
