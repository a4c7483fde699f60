"""Text to token ids and back, from a `tokenizer.json`. Knows no network.

Special tokens around a text and the length at which it is cut are those that the file itself asks for: ours asks for
none, imported ones for what their model was trained with.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import BundleError, InputError

__all__ = ["LENGTHS", "Tokenizer"]

Int32 = npt.NDArray[np.int32]
LENGTHS = (32, 64, 128, 256, 512)  # padding always to the last would cost the predictor up to 28 %

# The first spelling is this project's own; the others belong to the text models that can be imported.
_SPECIAL = {
    "pad": ("[PAD]", "<pad>", "<|finetune_right_pad_id|>", "<|pad|>"),
    "bos": ("[BOS]", "<bos>", "<s>", "<|begin_of_text|>", "[CLS]"),
    "eos": ("[EOS]", "<eos>", "</s>", "<|end_of_text|>", "[SEP]"),
}


class Tokenizer:
    """An immutable tokenizer; safe to share between threads."""

    def __init__(self, inner: Any) -> None:
        self._limit: int | None = (inner.truncation or {}).get("max_length")
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self._added: int = inner.num_special_tokens_to_add(False)
        self.vocab_size: int = inner.get_vocab_size(with_added_tokens=True)
        self.pad_id, self.bos_id, self.eos_id = (self._special(role) for role in _SPECIAL)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Read a `tokenizer.json`.

        Raises:
            BundleError: the file is missing or not a tokenizer.
        """
        try:
            with open(path, "rb") as file:
                return cls.from_bytes(file.read())
        except OSError as error:
            raise BundleError(f"expected a tokenizer.json, cannot read {path}: {error.strerror}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Tokenizer:
        """Read the content of a `tokenizer.json`.

        Raises:
            BundleError: it is not a tokenizer, or it lacks a padding, opening or closing token.
        """
        import tokenizers

        try:
            inner = tokenizers.Tokenizer.from_buffer(data)
        except Exception as error:  # the library raises bare Exception
            raise BundleError(
                f"expected a tokenizer.json, got something else ({error}): export the bundle again"
            ) from error
        return cls(inner)

    def encode(self, texts: Sequence[str], *, lengths: Sequence[int] = LENGTHS) -> tuple[Int32, Int32]:
        """Turn texts into padded ids; a text longer than the last length is cut.

        Args:
            texts: B texts, none empty.
            lengths: Widths L to choose from, ascending; the smallest that fits all is taken.

        Returns:
            ids (B, L) int32 and mask (B, L) int32, 1 where a token is.

        Raises:
            InputError: there is no text, or one is empty or not text.
        """
        if isinstance(texts, str) or len(texts) == 0:
            raise InputError(f"expected a list of texts, got {texts!r}: write [text]")
        limit = min(lengths[-1], self._limit or lengths[-1])
        rows = [self._row(text, limit) for text in texts]
        longest = max(map(len, rows))
        width = next(length for length in lengths if length >= longest)
        ids = np.full((len(rows), width), self.pad_id, np.int32)
        mask = np.zeros((len(rows), width), np.int32)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text without special tokens."""
        return str(self._inner.decode([int(token) for token in ids], skip_special_tokens=True)).strip()

    def _row(self, text: str, limit: int) -> list[int]:
        if not text.strip():
            raise InputError(f"expected a text with at least one word, got {text!r}")
        encoded = self._inner.encode(text, add_special_tokens=False)
        if not encoded.ids:
            raise InputError(f"expected a text that the tokenizer knows, got {text!r}, which gives no token")
        if self._added:  # cut first: the closing token stays
            encoded.truncate(max(1, limit - self._added))
            encoded = self._inner.post_process(encoded)
        row: list[int] = encoded.ids[:limit]
        return row

    def _special(self, role: str) -> int:
        for spelling in _SPECIAL[role]:
            if (found := self._inner.token_to_id(spelling)) is not None:
                return int(found)
        raise BundleError(
            f"the tokenizer has no {role} token, expected one of {', '.join(_SPECIAL[role])}: "
            "add it and export again"
        )
