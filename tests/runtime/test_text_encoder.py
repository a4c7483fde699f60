"""Texts become embeddings: alone or in company, remembered or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime import text_encoder
from vljepa_runtime.tokenizer.tokenizer import Tokenizer


def test_embed_text_is_cached_and_does_not_depend_on_company(small_zip: Path) -> None:
    model = vj.load(small_zip, engine="onnxruntime:cpu")
    texts = ["a red ball", "the blue box falls", "a red ball"]
    together = model.embed_text(texts)
    assert together.shape == (3, 8)
    assert np.array_equal(together[0], together[2])
    alone = vj.load(small_zip, engine="onnxruntime:cpu").embed_text(texts[1:2])
    assert np.allclose(together[1], alone[0], atol=1e-6)
    assert np.array_equal(model.embed_text(texts), together)


def test_the_text_cache_is_bounded(model: vj.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three texts used last are not encoded again; one that made room for them is."""
    encode, encoded = Tokenizer.encode, list[str]()

    def counted(self: Tokenizer, texts: Sequence[str], **options: Any) -> Any:
        encoded.extend(texts)
        return encode(self, texts, **options)

    monkeypatch.setattr(text_encoder, "TEXTS_CACHED", 3)
    monkeypatch.setattr(Tokenizer, "encode", counted)
    words = ["red", "blue", "green", "box", "ball"]
    expected = np.stack([model.embed_text([word])[0] for word in words])
    assert encoded == words
    assert np.allclose(model.embed_text(words[2:]), expected[2:], atol=1e-6)
    assert encoded == words
    assert np.allclose(model.embed_text(words), expected, atol=1e-6)
    assert encoded == [*words, *words[:2]]


def test_more_texts_than_one_batch(model: vj.Model) -> None:
    texts = [
        f"{a} {b}" for a in ("red", "blue", "green", "two", "three") for b in ("ball", "box", "left", "right")
    ]
    rows = model.embed_text(texts)
    assert np.allclose(rows[-1], model.embed_text(texts[-1:])[0], atol=1e-6)
