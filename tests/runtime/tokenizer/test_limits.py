"""Which tokenizer files are handed to the library: those that published models need, and none that could harm."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors

import vljepa_runtime as vj
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.tokenizer import Tokenizer
from vljepa_runtime.tokenizer.charsmap import check_charsmap, longest_replacement
from vljepa_runtime.tokenizer.limits import MAX_CHARACTERS, check_tokenizer

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz.,' ▁Ġ"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def charsmap(value: int = 0, text: bytes = b"b\0", offset: int = 1) -> str:
    """A table that replaces `a` by `text`, as darts-clone lays it out: one block of 256 units."""
    units = [0] * 256
    units[ord("a")] = offset << 10 | 1 << 8 | ord("a")
    units[ord("a") ^ 1] = 1 << 31 | value
    trie = b"".join(unit.to_bytes(4, "little") for unit in units)
    return base64.b64encode(len(trie).to_bytes(4, "little") + trie + text).decode()


def vocabulary() -> dict[str, int]:
    return {piece: index for index, piece in enumerate([*SPECIAL, *LETTERS])}


def built(model: Any, **parts: Any) -> bytes:
    inner = tokenizers.Tokenizer(model)
    for name, part in parts.items():
        setattr(inner, name, part)
    inner.add_special_tokens(SPECIAL)
    return bytes(inner.to_str(), "utf-8")


def template(text: str) -> Any:
    return processors.TemplateProcessing(single=text, special_tokens=[("<s>", 1), ("</s>", 2)])


def bpe(**options: Any) -> Any:
    return models.BPE(vocab=vocabulary(), merges=[("a", "b")] if "ab" in vocabulary() else [], **options)


def split(pattern: str, behavior: str = "isolated", *, invert: bool = False) -> Any:
    return pre_tokenizers.Split(Regex(pattern), behavior, invert=invert)


def byte_level() -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def without_string_types(data: bytes) -> bytes:
    """As GPT-2's own file: the model does not say what it is."""
    values = json.loads(data)
    del values["model"]["type"]
    return json.dumps(values).encode()


FAMILIES: dict[str, Callable[[], bytes]] = {
    "Llama 3": lambda: built(
        bpe(ignore_merges=True),
        pre_tokenizer=pre_tokenizers.Sequence([split(LLAMA3), byte_level()]),
        post_processor=processors.Sequence([processors.ByteLevel(), template("<s> $A")]),
        decoder=decoders.ByteLevel(),
    ),
    "Qwen 2": lambda: built(
        bpe(),
        normalizer=normalizers.NFC(),
        pre_tokenizer=pre_tokenizers.Sequence([split(QWEN2), byte_level()]),
        decoder=decoders.ByteLevel(),
    ),
    "Gemma": lambda: built(
        bpe(byte_fallback=True, fuse_unk=True, unk_token="<unk>"),
        normalizer=normalizers.Replace(" ", "▁"),
        pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"),
        post_processor=template("<s> $A </s>"),
        decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
    ),
    "Llama 2, Mistral": lambda: built(
        bpe(byte_fallback=True, fuse_unk=True, unk_token="<unk>"),
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        post_processor=template("<s> $A"),
        decoder=decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        ),
    ),
    "BERT, MiniLM": lambda: built(
        models.WordPiece(vocab=vocabulary(), unk_token="<unk>"),
        normalizer=normalizers.BertNormalizer(),
        pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        post_processor=template("<s> $A </s>"),
        decoder=decoders.WordPiece(),
    ),
    "RoBERTa": lambda: built(
        bpe(),
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
        post_processor=processors.RobertaProcessing(("</s>", 2), ("<s>", 1)),
        decoder=decoders.ByteLevel(),
    ),
    "GPT-2": lambda: without_string_types(built(bpe(), pre_tokenizer=pre_tokenizers.ByteLevel())),
    "CLIP": lambda: built(
        bpe(end_of_word_suffix="", continuing_subword_prefix=""),
        normalizer=normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        ),
        pre_tokenizer=pre_tokenizers.Sequence([split(CLIP, "removed", invert=True), byte_level()]),
        post_processor=processors.RobertaProcessing(("</s>", 2), ("<s>", 1), add_prefix_space=False),
        decoder=decoders.ByteLevel(),
    ),
    "T5": lambda: built(
        models.Unigram([(piece, -1.5) for piece in vocabulary()], unk_id=3),
        normalizer=normalizers.Sequence(
            [normalizers.Precompiled(base64.b64decode(charsmap())), normalizers.Strip(left=False)]
        ),
        pre_tokenizer=pre_tokenizers.Metaspace(),
        post_processor=template("$A </s>"),
        decoder=decoders.Metaspace(),
    ),
    "ALBERT": lambda: built(
        models.Unigram([(piece, -1.5) for piece in vocabulary()], unk_id=3),
        normalizer=normalizers.Sequence(
            [
                *(normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD()),
                *(normalizers.StripAccents(), normalizers.Lowercase()),
                normalizers.Precompiled(base64.b64decode(charsmap(text=b"b" * 33 + b"\0"))),
            ]
        ),
        pre_tokenizer=pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
        ),
        decoder=decoders.Metaspace(),
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_published_models_are_read(family: str) -> None:
    """The oracle is the library: ids of the same text, with the file's own template."""
    data = FAMILIES[family]()
    ids, mask = Tokenizer.from_bytes(data).encode(["a cab, a bad cab."])
    inner = tokenizers.Tokenizer.from_buffer(data)
    assert ids[0, : mask[0].sum()].tolist() == inner.encode("a cab, a bad cab.").ids
    assert Tokenizer.from_bytes(data).decode(ids[0]) == inner.decode(ids[0].tolist()).strip()


def spoil(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            values = values[part]
        values[last] = value

    return change


def sequence(section: str, parts: list[Any]) -> dict[str, Any]:
    names = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "decoder": "decoders"}
    return {"type": "Sequence", names[section]: parts}


def replace_text(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


REGEX = {"type": "Split", "pattern": {"Regex": r"(a*)*b"}, "behavior": "Isolated", "invert": False}
PRECOMPILED = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
TOKEN = {
    **{"id": 9, "content": "x", "special": False},
    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
}


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("normalizer", sequence("normalizer", [replace_text("e", "e" * 64)] * 2), "up to 4096 times longer"),
        ("normalizer", sequence("normalizer", [{"type": "ByteLevel"}] * 16), "up to 65536 times longer"),
        ("normalizer", replace_text("e", "e" * 65), "at most 64 characters"),
        ("normalizer", replace_text("", "e"), "pattern is empty"),
        ("normalizer", sequence("normalizer", [{"type": "NFC"}] * 17), "at most 16"),
        ("normalizer", sequence("normalizer", [sequence("normalizer", [sequence("normalizer", [])])]), "Sequence"),
        ("normalizer", {"type": "Prepend", "prepend": ""}, "prepend is empty"),
        ("normalizer", {"type": "Prepend"}, "lacks prepend"),
        ("normalizer", {"type": "Prepend", "prepend": "_" * 1000}, "at most 64"),
        ("normalizer", {"type": "Lua", "code": "x"}, "expected NFC"),
        ("normalizer", {"type": ["NFC"]}, "expected NFC"),
        ("normalizer", [], "expected NFC"),
        ("normalizer", PRECOMPILED, "trie has 0 units|longer than the table"),
        ("normalizer", {**PRECOMPILED, "precompiled_charsmap": "!"}, "not base64"),
        ("normalizer", {**PRECOMPILED, "precompiled_charsmap": charsmap(value=5)}, "leaf points outside"),
        ("normalizer", {**PRECOMPILED, "precompiled_charsmap": charsmap(offset=999)}, "outside itself"),
        ("normalizer", {**PRECOMPILED, "precompiled_charsmap": charsmap(text=b"b" * 80 + b"\0")}, "64 bytes"),
        ("pre_tokenizer", REGEX, "regular expression"),
        ("pre_tokenizer", {**REGEX, "pattern": {"Regex": ["a"]}}, "regular expression"),
        ("pre_tokenizer", {**REGEX, "pattern": {"Regex": "a", "String": "b"}}, "neither a String"),
        ("pre_tokenizer", sequence("pre_tokenizer", [REGEX]), "regular expression"),
        ("pre_tokenizer", {"type": "Metaspace", "replacement": "ab"}, "not one character"),
        ("pre_tokenizer", {"type": "Metaspace", "replacement": "a", "zoom": 1}, "unknown field"),
        ("pre_tokenizer", sequence("pre_tokenizer", [{"type": "ByteLevel"}] * 5), "32 times longer"),
        ("decoder", sequence("decoder", [replace_text("a", "a" * 50)] * 5), "times longer"),
        ("decoder", {"type": "Strip", "content": " ", "start": 10**9, "stop": 0}, "0 to 16"),
        ("decoder", {"type": "CTC"}, "expected ByteFallback"),
        ("post_processor", {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}, "each text"),
        ("post_processor", {"type": "BertProcessing", "sep": ["x", 2**40], "cls": ["y", 1]}, "0 to 2147483647"),
        ("truncation", {"max_length": 10**19, "stride": 0, "strategy": "LongestFirst"}, "max_length"),
        ("truncation", {"max_length": 0, "stride": 0, "strategy": "LongestFirst"}, "max_length is 0"),
        ("truncation", 7, "no object"),
        ("padding", {"pad_id": -1}, "pad_id"),
        ("added_tokens", [{**TOKEN, "id": 2**31}], "0 to 1048575"),
        ("added_tokens", [{**TOKEN, "content": ""}], "no text"),
        ("added_tokens", [{**TOKEN, "content": "<\x1b]0;x\x07>"}], "control character"),
        ("added_tokens", [TOKEN] * 20_000, "at most 16384"),
        ("added_tokens", "x", "no list"),
        ("model", 7, "no object"),
        ("model.type", "Oracle", "expected BPE"),
        ("model.type", ["BPE"], "expected BPE"),
        ("model.dropout", 0.5, "other tokens each time"),
        ("model.vocab", [], "no object"),
        ("model.vocab", {}, "-1"),
        ("model.vocab.a", -1, "below 0"),
        ("model.vocab.a", 1.0, "not whole"),
        ("model.vocab.a", True, "not whole"),
        ("model.vocab.a", 2**31, "rows 0 to 1048575"),
        ("model.vocab.a\x9b2J", 5, "control character"),
        ("model.vocab." + "a" * 2000, 5, "more than 1024 characters"),
        ("model.merges", [["a"]], "no pairs"),
        ("model.merges", ["a b c"], "no pairs"),
        ("model.merges", [1], "no pairs"),
        ("model.continuing_subword_prefix", "#" * 99, "at most 16"),
        ("zoom", 1, "unknown part"),
    ],
)  # fmt: skip
def test_a_tokenizer_is_refused(path: str, value: object, reason: str) -> None:
    values = json.loads(built(bpe(), pre_tokenizer=pre_tokenizers.ByteLevel()))
    spoil(path, value)(values)
    with pytest.raises(BundleError, match=rf"expected a tokenizer\.json.*{reason}") as refused:
        Tokenizer.from_bytes(json.dumps(values).encode())
    assert str(refused.value).isprintable()


def around(count: int) -> dict[str, Any]:
    """A template with one token, which stands for many."""
    special = {"id": "<s>", "ids": [1] * count, "tokens": ["<s>"] * count}
    pieces = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "type": "TemplateProcessing",
        "single": pieces,
        "pair": [*pieces, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": special},
    }


def in_a_row(parts: str, *components: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", parts: list(components)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(  # quadratic in the length of a text
            {
                "model": {
                    "type": "Unigram",
                    "unk_id": 0,
                    "vocab": [[piece, 0.0] for piece in [*SPECIAL, "a" * 65]],
                }
            },
            "a piece of more than 64 characters",
            id="unigram-runs",
        ),
        pytest.param(
            {"added_tokens": [{"id": 100 + i, "content": f"{i:04d}" + "a" * 1000} for i in range(300)]},
            "more than 262144 characters",
            id="long-added-tokens",
        ),
        pytest.param(
            {"normalizer": in_a_row("normalizers", {"type": "ByteLevel"}, {"type": "ByteLevel"})},
            "longer in the same way twice: ByteLevel, ByteLevel",
            id="bytes-of-bytes",
        ),
        pytest.param(
            {
                "normalizer": in_a_row(
                    "normalizers",
                    {"type": "Prepend", "prepend": "ab"},
                    in_a_row("normalizers", {"type": "Prepend", "prepend": "ab"}),
                )
            },
            "longer in the same way twice",
            id="nested",
        ),
        pytest.param(
            {"post_processor": in_a_row("processors", around(9), around(9))},
            "at most 16 special tokens around a text, the tokenizer puts 18",
            id="tokens-around-a-text",
        ),
    ],
)
def test_what_takes_seconds_together_is_refused(changes: dict[str, Any], reason: str) -> None:
    """Each part is within its own limit."""
    values = json.loads(built(bpe()))
    with pytest.raises(BundleError, match=reason):
        Tokenizer.from_bytes(json.dumps({**values, **changes}).encode())


def test_a_merge_without_the_prefix_is_refused_before_the_library_panics() -> None:
    values = json.loads(built(bpe()))
    values["model"] |= {"continuing_subword_prefix": "##", "merges": [["a", "é"]]}
    with pytest.raises(BundleError, match="without the prefix"):
        check_tokenizer(json.dumps(values).encode())


def test_unigram_pieces_and_scores_are_looked_at() -> None:
    values = json.loads(FAMILIES["T5"]())
    for path, value in (("model.vocab.3", ["x"]), ("model.vocab.3", ["x", "y"]), ("model.unk_id", 99)):
        spoiled = json.loads(json.dumps(values))
        spoil(path, value)(spoiled)
        with pytest.raises(BundleError, match=r"model\.(vocab|unk_id)"):
            check_tokenizer(json.dumps(spoiled).encode())


def test_a_file_of_brackets_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BundleError, match="more than any vocabulary needs"):
        check_tokenizer(b'{"model": ' + b"[]," * (1 << 21))


def test_a_charsmap_is_followed_as_the_library_does() -> None:
    assert check_charsmap(charsmap()) == ""
    assert longest_replacement(charsmap(text=b"long\0")) == 4
    library = normalizers.Precompiled(base64.b64decode(charsmap()))
    assert library.normalize_str("a cab") == "b cbb"


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    return Tokenizer.from_bytes(built(models.WordLevel({**vocabulary(), "\x1b": 60}, unk_token="<unk>")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\ud800", "lone surrogate"),
        ("a\udcff", "lone surrogate"),
        ("a" * (MAX_CHARACTERS + 1), "at most 8192 characters"),
        (7, "at least one word"),
        (None, "at least one word"),
    ],
)
def test_a_text_is_refused(letters: Tokenizer, text: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        letters.encode([text])


def test_decoded_text_holds_no_control_characters(letters: Tokenizer) -> None:
    assert letters.decode([4, 60, 5]) == "a  b"


@pytest.mark.parametrize("ids", [[-1], [2**31], [2**70]])
def test_ids_that_are_none_are_refused(letters: Tokenizer, ids: list[int]) -> None:
    with pytest.raises(InputError, match="token ids"):
        letters.decode(ids)


def test_what_the_library_raises_is_ours(monkeypatch: pytest.MonkeyPatch, letters: Tokenizer) -> None:
    class Panic(BaseException):
        """As `pyo3_runtime.PanicException`, which derives from no Exception."""

    class Broken:
        def encode(self, *args: object, **options: object) -> None:
            raise Panic("called `Option::unwrap()` on a `None` value")

        decode = encode

    monkeypatch.setattr(letters, "_inner", Broken())
    with pytest.raises(BundleError, match=r"cannot encode 'a' .*unwrap"):
        letters.encode(["a"])
    with pytest.raises(BundleError, match="cannot decode"):
        letters.decode([1])


def test_tokens_outside_the_models_table(hostile_bundles: ModuleType, tmp_path: Path) -> None:
    """The Y-decoder's logits say how many rows there are: 1,024 in the shipped bundle, 562 of them used."""
    shipped = json.loads(hostile_bundles.read_bundle()["tokenizer.json"])

    def bundle(change: Callable[[dict[str, Any]], object]) -> Path:
        values = json.loads(json.dumps(shipped))
        change(values)
        to: Path = tmp_path / "table.vljepa"
        hostile_bundles.write_hostile(to, {"tokenizer.json": json.dumps(values).encode()})
        return to

    far = bundle(lambda values: values["model"]["vocab"].update({"zz": 5000}))
    for opening in (Bundle.open, vj.load):
        with pytest.raises(BundleError, match="number 5000, the token table has rows 0 to 1023"):
            opening(far)
    added = [{**TOKEN, "id": 562 + i, "content": f"<image{i}>", "special": True} for i in range(500)]
    model = vj.load(bundle(lambda values: values["added_tokens"].extend(added)))
    assert model.embed_text(["a red ball <image1>"]).shape == (1, 256)
    with pytest.raises(InputError, match="expected tokens of 0 to 1023, 'a red <image499>' gives 1061"):
        model.embed_text(["a red <image499>"])


def test_one_token_may_begin_end_and_pad() -> None:
    """As in Qwen, Phi, Pythia and SmolLM."""
    values = json.loads(built(bpe()))
    vocabulary = {piece: index for index, piece in enumerate([*LETTERS, "<unk>", "<|endoftext|>"])}
    values["model"]["vocab"], values["added_tokens"] = vocabulary, []
    reader = Tokenizer.from_bytes(json.dumps(values).encode(), rows=len(vocabulary))
    assert {reader.pad_id, reader.bos_id, reader.eos_id} == {vocabulary["<|endoftext|>"]}


def test_special_tokens_must_lie_in_the_table() -> None:
    data = built(bpe())
    assert Tokenizer.from_bytes(data, rows=40).pad_id == 0
    values = json.loads(data)
    values["model"]["vocab"] = {
        piece: index for index, piece in enumerate([*LETTERS, "<unk>", "<s>", "</s>"])
    }
    values["added_tokens"] = [{**TOKEN, "id": len(values["model"]["vocab"]), "content": "<pad>"}]
    rows = len(values["model"]["vocab"])
    with pytest.raises(BundleError, match=f"no pad token below {rows}"):
        Tokenizer.from_bytes(json.dumps(values).encode(), rows=rows)
