"""Labels and templates of one's own, and embeddings made before, of which nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vljepa_data.annotations import Vocabulary
from vljepa_data.errors import AnnotationError

ROWS = np.array([[3.0, 4.0], [0.0, 2.0]])


def test_embeddings_become_unit_vectors(tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", labels=np.array(["running", "a café"]), embeddings=ROWS)
    found = Vocabulary.read(tmp_path / "made.npz")
    assert found.labels == ("running", "a café")
    np.testing.assert_allclose(found.embeddings, [[0.6, 0.8], [0.0, 1.0]])
    np.savez_compressed(
        tmp_path / "made.npz", labels=np.array(["a", "b"]), embeddings=np.asfortranarray(ROWS)
    )
    np.testing.assert_allclose(Vocabulary.read(tmp_path / "made.npz").embeddings[0], [0.6, 0.8])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"labels": np.array(["a", "b"])},
            r"expected an \.npz with labels and embeddings: .*embeddings\.npy",
        ),
        (
            {"labels": np.array(["a"]), "embeddings": ROWS},
            r"expected labels \(N,\) of text and embeddings \(N, S\)",
        ),
        (
            {"labels": np.array(["a", "a"]), "embeddings": ROWS},
            r"expected each line once, 'a' is there twice",
        ),
        ({"labels": np.array(["a", "b"]), "embeddings": ROWS * 0}, r"expected embeddings that are not all 0"),
        (
            {"labels": np.array(["a", "b"]), "embeddings": ROWS * np.nan},
            r"expected embeddings of finite numbers",
        ),
        (
            {"labels": np.array(["a", "b"], object), "embeddings": ROWS},
            r"labels\.npy holds object, neither text",
        ),
    ],
)
def test_wrong_arrays_are_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", **arrays)
    with pytest.raises(AnnotationError, match=message):
        Vocabulary.read(tmp_path / "made.npz")


def test_wrong_texts_are_refused(tmp_path: Path) -> None:
    labels, templates, no_npz = tmp_path / "labels.txt", tmp_path / "templates.txt", tmp_path / "a.npz"
    labels.write_text("a\nb\n\na\n")
    templates.write_text("a video of it\n")
    no_npz.write_bytes(b"PK")
    for arguments, message in (
        ((labels, None), "expected each line once, 'a' is there twice"),
        ((None, templates), r"expected {} in every template, 'a video of it' has none"),
        ((no_npz, None), "expected an .npz with labels and embeddings"),
        ((tmp_path / "gone.npz", None), "expected an .npz with labels and embeddings: No such file"),
        ((tmp_path / "gone.txt", None), "cannot read the annotations"),
    ):
        with pytest.raises(AnnotationError, match=message):
            Vocabulary.read(*arguments)
    templates.write_text("a video of {}\n")
    np.savez(tmp_path / "made.npz", labels=np.array(["a", "b"]), embeddings=ROWS)
    with pytest.raises(
        AnnotationError, match=r"expected no templates with .*made\.npz, whose embeddings are made"
    ):
        Vocabulary.read(tmp_path / "made.npz", templates)
