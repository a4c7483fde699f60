"""What a model is asked: the queries of its user, or the prompts of its bundle. Knows no network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vljepa_runtime.arguments import text, texts
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_runtime.model import Model

__all__ = ["queries_or_prompt", "query_or_prompt"]


def query_or_prompt(model: Model, query: str | None, *tasks: str) -> str:
    """A query, or where there is none the prompt of the first task for which the model's bundle has one.

    Raises:
        InputError: the query is empty, or there is no such prompt.
    """
    if query is not None:
        return text(query, "query")
    for task in tasks:
        if task in model.prompts:
            return model.prompts[task]
    raise InputError(f"{model.bundle.name} has no prompt for {tasks[0]}: pass query=...")


def queries_or_prompt(model: Model, query: str | Iterable[str] | None, *tasks: str) -> tuple[str, ...]:
    """One or several queries, or that prompt.

    Raises:
        InputError: a query is empty or given twice, or there is no such prompt.
    """
    if query is None or isinstance(query, str):
        return (query_or_prompt(model, query, *tasks),)
    queries = texts(query, "queries")
    if len(set(queries)) != len(queries):
        raise InputError(f"expected each query once, got {query!r}")
    return queries
