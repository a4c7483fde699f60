"""Texts become padded ids and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(small_zip: Path) -> Tokenizer:
    return Tokenizer.from_bytes(Bundle.open(small_zip).read("tokenizer.json"))


def test_special_tokens(tokenizer: Tokenizer) -> None:
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2)
    assert tokenizer.vocab_size == 23


def test_encode_pads_and_masks(tokenizer: Tokenizer) -> None:
    ids, mask = tokenizer.encode(["a red ball", "box"])
    assert ids.dtype == mask.dtype == np.int32
    assert ids.shape == mask.shape == (2, 32)
    assert mask.sum(axis=1).tolist() == [3, 1]
    assert (ids[mask == 0] == tokenizer.pad_id).all()
    assert tokenizer.decode(ids[0]) == "a red ball"


@pytest.mark.parametrize(("words", "width"), [(1, 32), (32, 32), (33, 64), (512, 512), (600, 512)])
def test_encode_takes_the_smallest_width_that_fits(tokenizer: Tokenizer, words: int, width: int) -> None:
    ids, mask = tokenizer.encode(["red " * words])
    assert ids.shape == (1, width)
    assert mask.sum() == min(words, 512)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param([], "list of texts", id="none"),
        pytest.param("red", "list of texts", id="one-text"),
        pytest.param(["red", ""], "at least one word", id="empty"),
        pytest.param([" \n"], "at least one word", id="blank"),
    ],
)
def test_encode_refuses(tokenizer: Tokenizer, texts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tokenizer.encode(texts)


def test_unknown_words_stay_one_token(tokenizer: Tokenizer) -> None:
    ids, mask = tokenizer.encode(["xyzzy"])
    assert mask.sum() == 1
    assert ids[0, 0] == 3


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[1, 2]"])
def test_from_bytes_refuses(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"expected a tokenizer\.json"):
        Tokenizer.from_bytes(data)


def test_a_tokenizer_without_eos_is_refused(small_zip: Path) -> None:
    data = Bundle.open(small_zip).read("tokenizer.json").replace(b"[EOS]", b"[END]")
    with pytest.raises(BundleError, match="no eos token"):
        Tokenizer.from_bytes(data)


def test_from_file(tmp_path: Path, small_folder: Path) -> None:
    assert Tokenizer.from_file(small_folder / "tokenizer.json").vocab_size == 23
    with pytest.raises(BundleError, match="cannot read"):
        Tokenizer.from_file(tmp_path / "nowhere.json")


def test_template_and_limit_of_the_file_are_followed() -> None:
    """The oracle is the library itself, with the file's own truncation and post-processing switched on."""
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: i for i, word in enumerate(["[PAD]", "[BOS]", "[EOS]", "a", "b", "c"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="a"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 1), ("[EOS]", 2)]
    )
    inner.enable_truncation(5)
    texts = ["a", "a b c", "a b c a b c a b c"]
    expected = [inner.encode(text).ids for text in texts]
    assert expected[2] == [1, 3, 4, 5, 2]
    ids, mask = Tokenizer.from_bytes(inner.to_str().encode()).encode(texts)
    assert [row[:count].tolist() for row, count in zip(ids, mask.sum(axis=1))] == expected
