"""One subject in a process of its own, so that its memory is its own: JSON lines on stdout, progress on stderr.

python -m vljepa_apps.measure.worker '{"spec": "tiny", "tasks": ["classification"], "clips": 300}'
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.json_process import answering, say
from vljepa_apps.measure.streaming import run_stream
from vljepa_apps.measure.subject import Subject
from vljepa_evaluation.tasks import TaskResult
from vljepa_runtime.peak_memory import peak_rss_mb

if TYPE_CHECKING:
    pass

__all__ = ["in_a_process", "main"]

WORKER = (sys.executable, "-m", "vljepa_apps.measure.worker")
WINDOWS = 20


def in_a_process(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Measure one subject in a fresh process and give the lines of it as they come.

    Args:
        order: A subject's fields; with `source` a stream is run, else windows of noise are embedded, the first one
            alone where it is `brief`; with `energy_s` for so long more where a sensor says joules. With `tasks`,
            `clips`, `hands` and `batch` they are measured instead, with `data` what a data set holds, with `streams`
            what the model's own selection does on streams.

    Yields:
        `kind` started (the first embedding is there), facts, task, streams or error, with what was found; an error
        has `died` where the process ended without a word.
    """
    command = [*WORKER, json.dumps(order)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        explained = False
        try:
            for line in process.stdout:
                said = json.loads(line)
                explained = explained or said["kind"] == "error"
                yield said
        except BaseException:  # a signal that came to this process alone
            process.terminate()
            raise
    if process.returncode and not explained:
        yield {"kind": "error", "message": f"its process ended with code {process.returncode}", "died": True}


def main(argv: list[str]) -> int:
    """Measure what the JSON argument says: a subject's fields; source; tasks, clips, hands, batch; data; streams."""
    order = json.loads(argv[0])
    subject = Subject(
        **{key: order[key] for key in ("spec", "engine", "threads", "allow_fallback") if key in order}
    )
    model: Any = subject.load()
    if order.get("data"):
        measure_data(model, subject.label, order["data"])
    if order.get("tasks"):
        measure(model, subject.label, order)
    if order.get("streams") and subject.is_ours:
        measure_streams(model, subject.label, order["streams"])
    elif order.get("streams"):
        say_task(TaskResult(task="streams", note="cannot: it has no selection of its own"))
    if not any(order.get(name) for name in ("data", "tasks", "streams")):
        measure_facts(model, subject, order)
    return 0


def measure_facts(model: Any, subject: Subject, order: dict[str, Any]) -> None:
    """What runs, what it takes to run, and when it began to."""
    if order.get("source"):
        run_stream(model, order["source"])
    else:
        frames = noise(model)
        embedding = model.embed(frames)
        say("started")
        if order.get("brief"):
            return
        for _ in range(WINDOWS):  # what a device does all day
            model.embed(frames)
        if getattr(model, "has_decoder", True):
            model.decode(embedding)
    facts = {**subject.facts(model), "peak_rss_mb": peak_rss_mb()}
    if seconds := order.get("energy_s"):
        from vljepa_apps.measure.peers.energy import joules_of

        facts["joules_per_window"] = joules_of(lambda: model.embed(frames), seconds=seconds)
    say("facts", **facts)


def noise(model: Any) -> Any:
    """Frames (T, H, W, 3) of noise, as many as a window has."""
    import numpy as np

    pre = model.preprocess
    return np.random.default_rng(0).integers(0, 256, (pre.frames, pre.size, pre.size, 3), np.uint8)


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
            batch=order.get("batch", 0),
            progress=progress.update,
        )
        for result in results:
            say_task(result)


def measure_data(model: Any, label: str, data: dict[str, Any]) -> None:
    """The same for a data set, with what two models are compared by."""
    from vljepa_apps import console
    from vljepa_data.annotations import DataSpec
    from vljepa_evaluation.tasks import evaluate_data

    spec = DataSpec(**data)
    opened = spec.open()
    with console.Progress(f"{label}: {spec.name}", total=1.0) as progress:
        for result in evaluate_data(model, model.preprocess, opened, progress=progress.update):
            say_task(result)


def measure_streams(model: Any, label: str, streams: dict[str, Any]) -> None:
    """What the model's own selection does on streams: a line for the task, one for when segments begin."""
    from vljepa_apps import console
    from vljepa_apps.measure.streams import StreamOrder, recordings
    from vljepa_evaluation.tasks import measure_decisions

    order = StreamOrder(**streams)
    with console.Progress(f"{label}: streams", total=1.0) as progress:
        seen = recordings(model, order, progress=lambda share: progress.update(0.8 * share))
        found = measure_decisions(
            model, seen, order.query, progress=lambda share, what: progress.update(0.8 + 0.2 * share, what)
        )
    say_task(found.result)
    say("streams", begins_s=found.begins_s, curves=[curve.to_dict() for curve in found.curves])


def say_task(result: TaskResult) -> None:
    """One line with all that was kept clip by clip."""
    scores = {name: values.round(6).tolist() for name, values in result.scores.items()}
    kept = {name: getattr(result, name) for name in ("spans", "groups", "chosen", "truth", "shown")}
    say("task", **result.to_dict(), **kept, scores=scores, embeddings=result.embeddings.tolist())


if __name__ == "__main__":
    sys.exit(answering(main))
