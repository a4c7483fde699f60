"""What stands for a label among embeddings: its own, the mean over sentences that it is put into, or one given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vljepa_data.annotations import Vocabulary
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_runtime.errors import InputError

__all__ = ["label_rows"]

AT_ONCE = 256


def label_rows(model: Evaluable, labels: Sequence[str], vocabulary: Vocabulary) -> Float32:
    """Unit vectors (N, S) of labels.

    Args:
        model: Embeds texts.
        labels: At least one.
        vocabulary: Its templates, or its embeddings of these labels.

    Raises:
        InputError: an embedding was not made before, or is of another length than the model's.

    Examples:
        >>> from vljepa_data.annotations import Vocabulary
        >>> from vljepa_evaluation.tasks import label_rows
        >>> from vljepa_runtime import load
        >>> words = Vocabulary(templates=("{}", "here {}"))
        >>> label_rows(load("tiny"), ["a ball falls", "a box jumps"], words).shape
        (2, 256)
    """
    if vocabulary.embeddings.size:
        place = {label: number for number, label in enumerate(vocabulary.labels)}
        if missing := [label for label in labels if label not in place]:
            raise InputError(
                f"expected labels whose embeddings were made, {missing[0]!r} is none of {len(place)}"
            )
        if (length := model.embed_text([labels[0]]).shape[1]) != vocabulary.embeddings.shape[1]:
            raise InputError(
                f"expected embeddings of {length} numbers as the model's, got {vocabulary.embeddings.shape[1]}"
            )
        return vocabulary.embeddings[[place[label] for label in labels]]
    sentences = [vocabulary.sentences(label) for label in labels]
    flat = [text for group in sentences for text in group]
    parts = [model.embed_text(flat[start : start + AT_ONCE]) for start in range(0, len(flat), AT_ONCE)]
    rows = np.concatenate(parts)
    if not vocabulary.templates:
        return rows
    means = rows.reshape(len(labels), len(sentences[0]), -1).mean(axis=1)
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12), np.float32)
