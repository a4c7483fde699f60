"""What is printed of labels in their order, the best first, and of an answer that is one of them or in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vljepa_apps import console

if TYPE_CHECKING:
    from vljepa_runtime import Scored

__all__ = ["plain", "print_answer", "text"]


def plain(ranked: Sequence[Scored]) -> list[dict[str, Any]]:
    """Labels for JSON."""
    return [{"label": each.label, "score": round(each.score, 4)} for each in ranked]


def text(ranked: Sequence[Scored]) -> str:
    """Labels for people."""
    return console.table([(each.label, f"{each.score:.3f}") for each in ranked], indent="")


def print_answer(asked: Mapping[str, object], ranked: Sequence[Scored], words: str, *, as_json: bool) -> None:
    """Print an answer.

    Args:
        asked: What was asked, for JSON.
        ranked: Candidates, best first; empty where there were none.
        words: What was decoded where there were no candidates.
        as_json: One JSON object instead of text.
    """
    document: dict[str, object] = {
        **asked,
        "answer": ranked[0].label if ranked else words,
        "decoded": not ranked,
        "results": plain(ranked),
    }
    console.report(document, lambda: text(ranked) if ranked else words, as_json=as_json, indent=None)
