"""Text to token ids and back, from a `tokenizer.json`. Knows no network.

Special tokens around a text and the length at which it is cut are those that the file itself asks for: ours asks for
none, imported ones for what their model was trained with.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import BundleError, InputError, VljepaError
from vljepa_runtime.files.values import shown
from vljepa_runtime.tokenizer.limits import MAX_CHARACTERS, check_tokenizer

__all__ = ["LENGTHS", "Tokenizer", "open_library_tokenizer"]

Int32 = npt.NDArray[np.int32]
_DROPPED = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - set(map(ord, "\t\n\v\f\r")))  # never words
MAX_AROUND = 16  # BERT and CLIP have 2; the library puts them around every part that is cut off, too
LENGTHS = (32, 64, 128, 256, 512)  # padding always to the last would cost the predictor up to 28 %

ENDS = "<|endoftext|>"  # one token for all three in Qwen, Phi, Pythia and SmolLM

# The first spelling is this project's own; the others belong to the text models that can be imported.
_SPECIAL = {
    "pad": ("[PAD]", "<pad>", "<|finetune_right_pad_id|>", "<|pad|>", ENDS),
    "bos": ("[BOS]", "<bos>", "<s>", "<|begin_of_text|>", "[CLS]", ENDS),
    "eos": ("[EOS]", "<eos>", "</s>", "<|end_of_text|>", "[SEP]", ENDS),
}


class Tokenizer:
    """An immutable tokenizer; safe to share between threads."""

    def __init__(self, inner: Any, *, rows: int | None = None) -> None:
        self._rows = rows
        self._limit: int | None = (inner.truncation or {}).get("max_length")
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self._added: int = inner.num_special_tokens_to_add(False)
        if self._added > MAX_AROUND:
            raise BundleError(
                f"expected at most {MAX_AROUND} special tokens around a text, the tokenizer puts {self._added}: "
                "export the bundle again"
            )
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
    def from_bytes(cls, data: bytes, where: str = "tokenizer.json", *, rows: int | None = None) -> Tokenizer:
        """Read the content of a `tokenizer.json`.

        Args:
            data: The file.
            where: How a message calls it.
            rows: Rows of the token table that its ids go into, where they are known.

        Raises:
            BundleError: it is not a tokenizer of a known kind, or it lacks a padding, opening or closing token.
        """
        return cls(open_library_tokenizer(data, where, rows=rows), rows=rows)

    def encode(self, texts: Sequence[str], *, lengths: Sequence[int] = LENGTHS) -> tuple[Int32, Int32]:
        """Turn texts into padded ids; a text longer than the last length is cut.

        Args:
            texts: B texts, none empty.
            lengths: Widths L to choose from, ascending; the smallest that fits all is taken.

        Returns:
            ids (B, L) int32 and mask (B, L) int32, 1 where a token is.

        Raises:
            InputError: there is no text; one is empty, not text or too long; or a token is outside the model's table.
        """
        if isinstance(texts, str) or len(texts) == 0:
            raise InputError(f"expected a list of texts, got {shown(texts)}: write [text]")
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
        """Turn ids into text without special tokens and without control characters.

        Raises:
            InputError: an id is negative or too large for any vocabulary.
        """
        tokens = [int(token) for token in ids]
        if tokens and not 0 <= min(tokens) <= max(tokens) < 2**31:
            raise InputError(f"expected token ids of 0 to 2**31 - 1, got {min(tokens)} to {max(tokens)}")
        with _library("the tokenizer cannot decode"):
            text = str(self._inner.decode(tokens, skip_special_tokens=True))
        return text.translate(_DROPPED).strip()

    def _row(self, text: str, limit: int) -> list[int]:
        _check_text(text)
        with _library(f"the tokenizer cannot encode {shown(text)}"):
            encoded = self._inner.encode(text, add_special_tokens=False)
            if encoded.ids and self._added:  # cut first: the closing token stays
                encoded.truncate(max(1, limit - self._added))
                encoded = self._inner.post_process(encoded)
            row: list[int] = encoded.ids[:limit]
        if not row:
            raise InputError(
                f"expected a text that the tokenizer knows, got {shown(text)}, which gives no token"
            )
        if self._rows is not None and max(row) >= self._rows:
            raise InputError(
                f"expected tokens of 0 to {self._rows - 1}, {shown(text)} gives {max(row)}: "
                "leave out what is no plain text, or export the bundle again"
            )
        return row

    def _special(self, role: str) -> int:
        for spelling in _SPECIAL[role]:
            found = self._inner.token_to_id(spelling)
            if found is not None and (self._rows is None or found < self._rows):
                return int(found)
        inside = "" if self._rows is None else f" below {self._rows}"
        raise BundleError(
            f"the tokenizer has no {role} token{inside}, expected one of {', '.join(_SPECIAL[role])}: "
            "add it and export again"
        )


def open_library_tokenizer(data: bytes, where: str = "tokenizer.json", *, rows: int | None = None) -> Any:
    """The tokenizers library's own object, of a file that was looked at before.

    Raises:
        BundleError: it is not a tokenizer of a known kind.
    """
    check_tokenizer(data, where, rows=rows)
    import tokenizers

    with _library(f"expected a tokenizer.json, the tokenizers library cannot read {where}"):
        return tokenizers.Tokenizer.from_buffer(data)


def _check_text(text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"expected a text with at least one word, got {shown(text)}")
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"expected a text of at most {MAX_CHARACTERS} characters, got {len(text)}: shorten it"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"expected text, got half a character (a lone surrogate) in {shown(text)}: decode it as UTF-8"
        ) from error


@contextmanager
def _library(problem: str) -> Iterator[None]:
    """Whatever the library raises becomes an error of ours: bare exceptions, and panics, which derive from none."""
    try:
        yield
    except (VljepaError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{problem} ({reason}): export the bundle again") from error
