"""What a mistyped word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str], *, lead: str = "", form: str = "{!r}") -> str:
    """`did you mean 'onnx'?` after `lead` where a known word is close to `word`, else nothing.

    Args:
        word: As it was given.
        known: What it may be.
        lead: Stands before the question.
        form: How the known word is shown.

    Examples:
        >>> from vljepa_runtime.suggestions import did_you_mean
        >>> did_you_mean("onxx", ["onnx", "openvino"])
        "did you mean 'onnx'?"
    """
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f"{lead}did you mean {form.format(close[0])}?" if close else ""
