"""Which `tokenizer.json` is handed to the tokenizers library: the components that published models use, within limits.

That format is a small language: a few hundred bytes of it can multiply a text a million times, match a pattern for
hours or stop the library with a panic. Here a file is parsed and held against a table first, so none of that runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.values import shown
from vljepa_runtime.tokenizer.components import (
    Refused,
    check_component,
    check_fields,
    check_repeats,
    growth,
    whole,
)

__all__ = ["MAX_CHARACTERS", "check_tokenizer"]

MAX_BYTES = 64 << 20  # Gemma's, the largest of those that can be imported, has 33 MB
MAX_LISTS = 1 << 20  # brackets: Gemma's merges are 514,906 pairs
MAX_SCALARS = (
    1 << 22
)  # commas and colons: what Python's objects take is bounded by these two, not by the bytes
MAX_IDS = 1 << 20  # XLM-V, the largest vocabulary published, has 901,629
MAX_PIECE = 1024  # characters; runs of blanks in byte-level vocabularies come to some 128
MAX_UNIGRAM_PIECE = (
    64  # characters; SentencePiece's own limit is 16, and every place of a text is tried for all
)
MAX_ADDED = 1 << 14  # Gemma has 6,415
MAX_ADDED_CHARACTERS = 1 << 18  # of all of them, of which an automaton is built; Gemma's come to some 80,000
MAX_AFFIX = 16  # characters, such as ## and </w>
MAX_WORD = 200  # characters, of which WordPiece looks at all pairs; BERT has 100
MAX_CHARACTERS = 8192  # of one text that is encoded; 512 tokens are some 2,500
# Bytes out for a byte in, per section. By its tables alone an ALBERT has 726; the longest text comes to 6 MB, for which
# the library takes 35 times as much.
MAX_GROWTH = {"normalizer": 768, "pre_tokenizer": 16, "post_processor": 16, "decoder": 16}
KNOWN = MAX_GROWTH.keys() | {"version", "truncation", "padding", "added_tokens", "model"}


def check_tokenizer(data: bytes, where: str = "tokenizer.json", *, rows: int | None = None) -> None:
    """Refuse a file that no published model would need.

    Args:
        data: Content of a `tokenizer.json`.
        where: How a message calls it.
        rows: Rows of the token table that its ids go into, where they are known. Added tokens may lie beyond it, as
            those for pictures in text models do; they are looked at when a text is encoded.

    Raises:
        BundleError: it is not JSON, has a component or a field that is not known, or a number beyond its limit.
    """
    try:
        _check(data, rows)
    except (Refused, ValueError) as error:
        raise BundleError(
            f"expected a tokenizer.json of a known kind, {where} is not: {error}: export the bundle again"
        ) from error


def _check(data: bytes, rows: int | None) -> None:
    if len(data) > MAX_BYTES:
        raise Refused(f"it has {len(data)} bytes, at most {MAX_BYTES} are read")
    lists, scalars = data.count(b"[") + data.count(b"{"), data.count(b",") + data.count(b":")
    if lists > MAX_LISTS or scalars > MAX_SCALARS:
        raise Refused(f"it holds {max(lists, scalars)} values, more than any vocabulary needs")
    values = parse_json(data)
    if not isinstance(values, dict) or "model" not in values:
        raise Refused("it is no object with a `model`")
    if unknown := sorted(set(values) - KNOWN):
        raise Refused(f"it has an unknown part {shown(unknown[0])}")
    for section, limit in MAX_GROWTH.items():
        if (component := values.get(section)) is not None:
            check_component(section, component)
            if (factor := growth(component)) > limit:
                raise Refused(
                    f"its {section} makes a text up to {factor} times longer, at most {limit} are taken"
                )
            check_repeats(section, component)
    _check_cuts(values)
    _check_added(values.get("added_tokens"))
    _check_model(values["model"], rows)


def _check_cuts(values: Mapping[str, Any]) -> None:
    """Truncation is followed by us, padding is not followed at all."""
    for part, names in (("truncation", ("max_length", "stride")), ("padding", ("pad_id", "pad_type_id"))):
        if (found := values.get(part)) is None:
            continue
        if not isinstance(found, dict):
            raise Refused(f"its {part} is no object")
        for name in names:
            whole(found.get(name, 0), f"{part}.{name}", limit=MAX_IDS)
    if (cut := values.get("truncation")) and not cut.get("max_length"):
        raise Refused("its truncation.max_length is 0")


def _check_added(tokens: object) -> None:
    if tokens is None:
        return
    if not isinstance(tokens, list) or len(tokens) > MAX_ADDED:
        raise Refused(f"its added_tokens are no list of at most {MAX_ADDED}")
    for token in tokens:
        check_fields("added_tokens", token, ADDED_TOKEN, ("id", "content"))
    _check_pieces([token["content"] for token in tokens])
    if sum(len(token["content"]) for token in tokens) > MAX_ADDED_CHARACTERS:
        raise Refused(f"its added_tokens have more than {MAX_ADDED_CHARACTERS} characters")


def _check_id(value: object, where: str) -> None:
    whole(value, where, limit=MAX_IDS - 1)


def _check_piece(value: object, where: str) -> None:
    if not isinstance(value, str) or not value:
        raise Refused(f"its {where} is no text: {shown(value)}")


def _check_flag(value: object, where: str) -> None:
    if not isinstance(value, bool):
        raise Refused(f"its {where} is neither true nor false: {shown(value)}")


ADDED_TOKEN = {
    "id": _check_id,
    "content": _check_piece,
    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), _check_flag),
}


def _check_model(model: object, rows: int | None) -> None:
    if not isinstance(model, dict):
        raise Refused(f"its model is no object: {shown(model)}")
    kind = model.get("type") or _guess(model)
    if not isinstance(kind, str) or kind not in MODELS:
        raise Refused(f"its model is {shown(kind)}, expected {', '.join(MODELS)}")
    if unknown := sorted(set(model) - MODELS[kind] - {"type", "vocab"}):
        raise Refused(f"its {kind} model has an unknown field {shown(unknown[0])}")
    for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        limit = MAX_PIECE if name == "unk_token" else MAX_AFFIX
        if (text := model.get(name)) is not None and (not isinstance(text, str) or len(text) > limit):
            raise Refused(f"its model.{name} is no text of at most {limit} characters: {shown(text)}")
    for name in ("fuse_unk", "byte_fallback", "ignore_merges"):
        if model.get(name) is not None:
            _check_flag(model[name], f"model.{name}")
    if model.get("dropout") is not None:
        raise Refused("its model.dropout gives one text other tokens each time")
    whole(model.get("max_input_chars_per_word", 100), "model.max_input_chars_per_word", limit=MAX_WORD)
    _check_vocabulary(model.get("vocab"), kind, model, MAX_IDS if rows is None else rows)
    _check_merges(model)


MODELS = {
    "BPE": {
        *("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback"),
        *("ignore_merges", "merges"),
    },
    "WordPiece": {"unk_token", "continuing_subword_prefix", "max_input_chars_per_word"},
    "WordLevel": {"unk_token"},
    "Unigram": {"unk_id", "byte_fallback"},
}  # fmt: skip


def _guess(model: Mapping[str, Any]) -> str:
    """Older files do not say what they are."""
    if "merges" in model:
        return "BPE"
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"


def _check_vocabulary(vocabulary: Any, kind: str, model: Mapping[str, Any], rows: int) -> None:
    if kind == "Unigram":
        if not isinstance(vocabulary, list) or not all(
            isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], (int, float))
            for entry in vocabulary
        ):
            raise Refused("its model.vocab is no list of pieces with their scores")
        pieces, size = [entry[0] for entry in vocabulary], len(vocabulary)
        if model.get("unk_id") is not None:
            whole(model["unk_id"], "model.unk_id", limit=size - 1)
    else:
        if not isinstance(vocabulary, dict):
            raise Refused("its model.vocab is no object of pieces and their numbers")
        if not set(map(type, vocabulary.values())) <= {int}:
            raise Refused("its model.vocab has a number that is not whole")
        pieces, ids = list(vocabulary), vocabulary.values()
        size = max(ids, default=-1) + 1
        if min(ids, default=0) < 0:
            raise Refused("its model.vocab has a number below 0")
    if not 0 < size <= min(rows, MAX_IDS):
        raise Refused(
            f"its model.vocab has the number {size - 1}, the token table has rows 0 to {min(rows, MAX_IDS) - 1}"
        )
    _check_pieces(pieces, MAX_UNIGRAM_PIECE if kind == "Unigram" else MAX_PIECE)


def _check_pieces(pieces: list[Any], longest: int = MAX_PIECE) -> None:
    """A control character may be a piece, for a text may hold one; within a piece it could only be an order."""
    if not set(map(type, pieces)) <= {str}:
        raise Refused("its model.vocab has a piece that is no text")
    if max(map(len, pieces), default=0) > longest:
        raise Refused(f"its model.vocab has a piece of more than {longest} characters")
    for piece in pieces:
        if len(piece) > 1 and not piece.isprintable() and CONTROL.intersection(piece):
            raise Refused(f"its model.vocab has a piece with a control character: {shown(piece)}")


CONTROL = frozenset(map(chr, chain(range(0x20), range(0x7F, 0xA0)))) - set("\t\n\v\f\r\x85")


def _check_merges(model: Mapping[str, Any]) -> None:
    merges = model.get("merges", [])
    if not isinstance(merges, list) or len(merges) > MAX_IDS:
        raise Refused(f"its model.merges are no list of at most {MAX_IDS}")
    kinds = set(map(type, merges))
    pairs = [merge.split(" ") for merge in merges] if kinds == {str} else merges
    if kinds - {str} and (kinds != {list} or not set(map(type, chain.from_iterable(merges))) <= {str}):
        raise Refused("its model.merges are no pairs of pieces")
    if not set(map(len, pairs)) <= {2}:
        raise Refused("its model.merges are no pairs of pieces")
    if (prefix := model.get("continuing_subword_prefix") or "") and not all(
        second.startswith(prefix) for _, second in pairs
    ):
        raise Refused(f"its model.merges have a second piece without the prefix {shown(prefix)}")
