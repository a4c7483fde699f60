"""Held-out tasks of the procedural world: what a model is asked, with the truth and a number with its interval.

    for result in evaluate(model, tasks=["retrieval", "vqa"], clips=300):
        print(result.task, result.main)

A task is a file here and a line in the table of `run.py`; `selective.py` and `streams.py` measure long streams.
"""

from vljepa_evaluation.tasks.attributes import Description, describe, matches, parse
from vljepa_evaluation.tasks.protocol import Evaluable
from vljepa_evaluation.tasks.run import CLIPS, TASKS, evaluate, expand_tasks
from vljepa_evaluation.tasks.task import TaskResult

__all__ = [
    "CLIPS", "TASKS", "Description", "Evaluable", "TaskResult", "describe", "evaluate", "expand_tasks", "matches",
    "parse",
]  # fmt: skip
