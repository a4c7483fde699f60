"""Held-out tasks of the procedural world: what a model knows, each number with its interval. NumPy only."""

from vljepa_evaluation.tasks.attributes import Description, describe, matches, parse
from vljepa_evaluation.tasks.estimate import Estimate, mean_of
from vljepa_evaluation.tasks.protocol import Evaluable
from vljepa_evaluation.tasks.run import CLIPS, TASKS, evaluate, expand_tasks
from vljepa_evaluation.tasks.task import TaskResult

__all__ = [
    "CLIPS", "TASKS", "Description", "Estimate", "Evaluable", "TaskResult", "describe", "evaluate",
    "expand_tasks", "matches", "mean_of", "parse",
]  # fmt: skip
