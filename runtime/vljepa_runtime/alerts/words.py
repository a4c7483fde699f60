"""What an alert's words alone say about its scores: how near a window comes to them that shows something else.

Knows the embeddings of texts and no window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vljepa_runtime.alerts.rule import Alert
from vljepa_runtime.errors import InputError
from vljepa_runtime.files.values import shown
from vljepa_runtime.selection.protocol import Floats

__all__ = ["EmbedTexts", "something_else", "weak_below", "with_threshold"]

BELOW = 0.06  # of 0.02 to 0.08 on the world's event streams the best, with 0.05, which misses more; see docs/alerts.md
BELOW_BESIDE_OTHERS = 0.08  # the best of 0.05 to 0.15 where labels compete
BELOW_IN_SEARCH = 0.05  # what is called weak wrongly is still shown, so it may be more; see docs/log.md
MOST_WORDS = 32  # of a long text so many are left out in turn
EmbedTexts = Callable[[Sequence[str]], Floats]


def with_threshold(alert: Alert, embed_texts: EmbedTexts) -> Alert:
    """The same alert with a threshold: its own; 0 where others compete, so that the nearest wins; else by its words.

    How near a window comes to words that it shows depends on the words: whole sentences that the model knows are met
    at a cosine of 0.9, at which vague ones never are; at 0.75, where those are, near misses of a sentence are, too.
    What a word is worth says which: the threshold lies 0.06 below the mean cosine between the text and itself with one
    word left out.

    Args:
        alert: What is told.
        embed_texts: `Model.embed_text`.

    Raises:
        InputError: it is a single word, of which none can be left out.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.alerts import Alert, with_threshold
        >>> embed = vj.load("tiny").embed_text
        >>> alerts = [Alert(text="a red ball falls down"), Alert(text="something jumps")]
        >>> [round(with_threshold(alert, embed).threshold, 2) for alert in alerts]
        [0.88, 0.74]
    """
    if alert.threshold is not None:
        return alert
    if alert.against:
        return replace(alert, threshold=0.0)
    if (cosine := _with_one_word_less(alert.text, embed_texts)) is None:
        raise InputError(
            f"expected a threshold for the alert {shown(alert.text)}: a single word gives none, describe what is seen "
            "in a few words, or find one with vljepa alerts calibrate"
        )
    return replace(alert, threshold=round(cosine - BELOW, 6))


def weak_below(text: str, embed_texts: EmbedTexts) -> float | None:
    """The cosine below which what a search found shows something else more often than what its words say.

    Args:
        text: What was searched for.
        embed_texts: `Model.embed_text`.

    Returns:
        It, or None for a single word, which says nothing of it.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.alerts import weak_below
        >>> embed = vj.load("tiny").embed_text
        >>> round(weak_below("a red ball falls down", embed), 2), weak_below("ball", embed)
        (0.89, None)
    """
    cosine = _with_one_word_less(text, embed_texts)
    return None if cosine is None else round(cosine - BELOW_IN_SEARCH, 6)


def something_else(text: str, embed_texts: EmbedTexts) -> float:
    """The cosine at which a window is taken to show none of the labels that compete; -inf for a single word."""
    cosine = _with_one_word_less(text, embed_texts)
    return -np.inf if cosine is None else cosine - BELOW_BESIDE_OTHERS


def _with_one_word_less(text: str, embed_texts: EmbedTexts) -> float | None:
    """Mean cosine between a text and itself with one word left out; None for a single word."""
    words = text.split()
    if len(words) < 2:
        return None
    places = np.unique(np.linspace(0, len(words) - 1, MOST_WORDS).round().astype(int)).tolist()
    rows = embed_texts([text, *(" ".join(words[:at] + words[at + 1 :]) for at in places)])
    return float(np.mean(rows[1:] @ rows[0]))
