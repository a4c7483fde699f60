"""Labels to choose from: a text file or embeddings made before, and the sentences that labels are put into."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_data.annotations.npz_file import read_npz
from vljepa_data.annotations.rows import read_text
from vljepa_data.errors import AnnotationError
from vljepa_runtime.files import split_lines

__all__ = ["PLACE", "Vocabulary"]

PLACE = "{}"
"""Where a template takes a label."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vocabulary:
    """What may be answered, where a question does not say it itself.

    Attributes:
        labels: Each once; empty where the texts of a data set are the labels.
        templates: Sentences with `{}` for the label; the mean of their embeddings stands for it (CLIP, arXiv
            2103.00020, 3.1.4). Empty for the label alone.
        embeddings: (len(labels), S) float32 made before, or empty.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_data.annotations import Vocabulary
        >>> _ = Path("labels.txt").write_text("running\\njumping\\n")
        >>> _ = Path("templates.txt").write_text("a video of {}\\nsomebody {}\\n")
        >>> words = Vocabulary.read("labels.txt", "templates.txt")
        >>> words.labels, words.sentences("running")
        (('running', 'jumping'), ('a video of running', 'somebody running'))
    """

    labels: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    embeddings: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @classmethod
    def read(cls, labels: str | Path | None = None, templates: str | Path | None = None) -> Vocabulary:
        """Read what --labels and --templates name.

        Args:
            labels: One label on each line, or an `.npz` with `labels` and their `embeddings`.
            templates: One template on each line.

        Raises:
            AnnotationError: a file cannot be read, is empty, names a label twice, or a template has no `{}`; or there
                are templates for embeddings that were made already.
        """
        sentences = _lines(Path(templates), "template") if templates else ()
        for sentence in sentences:
            if PLACE not in sentence:
                raise AnnotationError(
                    f"{templates}: expected {PLACE} in every template, {sentence!r} has none"
                )
        if labels is None:
            return cls(templates=sentences)
        path = Path(labels)
        if path.suffix.lower() != ".npz":
            return cls(labels=_lines(path, "label"), templates=sentences)
        if sentences:
            raise AnnotationError(f"expected no templates with {path}, whose embeddings are made already")
        names, rows = _arrays(path)
        return cls(labels=names, embeddings=rows)

    def sentences(self, label: str) -> tuple[str, ...]:
        """The texts that stand for a label."""
        return tuple(template.replace(PLACE, label) for template in self.templates) or (label,)


def _lines(path: Path, what: str) -> tuple[str, ...]:
    found = tuple(line.strip() for line in split_lines(read_text(path)) if line.strip())
    if not found:
        raise AnnotationError(f"{path}: expected one {what} on each line, got an empty file")
    return _once(path, found)


def _once(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise AnnotationError(f"{path}: expected each line once, {twice!r} is there twice")
    return names


def _arrays(path: Path) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Labels and unit vectors of an `.npz`."""
    names, rows = read_npz(path, "labels", "embeddings")
    if (
        names.ndim != 1
        or names.dtype.kind != "U"
        or rows.ndim != 2
        or len(rows) != len(names)
        or not len(names)
    ):
        raise AnnotationError(
            f"{path}: expected labels (N,) of text and embeddings (N, S), got {names.shape} {names.dtype} and "
            f"{rows.shape}"
        )
    if rows.dtype.kind != "f" or not np.isfinite(rows).all():
        raise AnnotationError(f"{path}: expected embeddings of finite numbers, got {rows.dtype}")
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise AnnotationError(f"{path}: expected embeddings that are not all 0, and of a finite length")
    return _once(path, tuple(map(str, names.tolist()))), (rows / norms).astype(np.float32)
