"""One subject in a process of its own, so that its memory is its own: JSON lines on stdout, progress on stderr.

python -m vljepa_apps.measure.compare.worker '{"spec": "tiny", "tasks": ["classification"], "clips": 300}'
"""

from __future__ import annotations

import json
import sys
from typing import Any

from vljepa_apps.measure.compare.subject import Subject
from vljepa_runtime.peak_memory import peak_rss_mb

__all__ = ["main"]

WINDOWS = 20


def main(argv: list[str]) -> int:
    """Measure what the JSON argument says: spec, engine, threads, allow_fallback; source; tasks, clips, hands."""
    order = json.loads(argv[0])
    subject = Subject(
        **{key: order[key] for key in ("spec", "engine", "threads", "allow_fallback") if key in order}
    )
    model = subject.load()
    if order.get("source"):
        watch(model, order["source"])
    else:
        use(model)
    say("facts", **subject.facts(model), peak_rss_mb=peak_rss_mb())
    if order.get("tasks"):
        measure(model, subject.label, order)
    return 0


def use(model: Any) -> None:
    """What a device does all day: windows of noise embedded, one text decoded."""
    import numpy as np

    pre = model.preprocess
    frames = np.random.default_rng(0).integers(0, 256, (pre.frames, pre.size, pre.size, 3), np.uint8)
    for _ in range(WINDOWS):
        embedding = model.embed(frames)
    if getattr(model, "has_decoder", True):
        model.decode(embedding)


def watch(model: Any, source: str) -> None:
    """What `vljepa run` does, without printing."""
    import vljepa_runtime as vj

    with vj.open_source(source) as opened, model.session() as session:
        for _ in session.run(opened):
            pass


def measure(model: Any, label: str, order: dict[str, Any]) -> None:
    """Print a line per task as soon as it is measured."""
    from vljepa_apps import console
    from vljepa_evaluation.tasks import evaluate

    with console.Progress(label, total=1.0) as progress:
        results = evaluate(
            model,
            tasks=order["tasks"],
            clips=order["clips"],
            hands=order.get("hands"),
            progress=progress.update,
        )
        for result in results:
            say("task", **result.to_dict(), samples=[round(value, 6) for value in result.samples.tolist()])


def say(kind: str, **values: Any) -> None:
    """One JSON line."""
    print(json.dumps({"kind": kind} | values), flush=True)  # noqa: T201  (read by the process that started this one)


if __name__ == "__main__":
    from vljepa_runtime.errors import VljepaError

    try:
        sys.exit(main(sys.argv[1:]))
    except VljepaError as error:
        say("error", message=str(error))
        sys.exit(1)
