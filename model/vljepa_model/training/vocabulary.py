"""The small tokenizer of the `tiny` model, trained on the words of the procedural world."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from vljepa_data.world import COLOURS, COUNTS, DIGITS, PROMPTS, SHAPES, vocabulary_texts

__all__ = ["SPECIAL_TOKENS", "train_tokenizer"]

SPECIAL_TOKENS = ("[PAD]", "[BOS]", "[EOS]", "[UNK]")


def train_tokenizer(vocab_size: int) -> Tokenizer:
    """Train a lower-casing byte-level BPE in which every word of the world is one token.

    Byte-level means that any other text can still be written, in more tokens.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    questions = [f"What colour is the {shape}? Which way does the {shape} move?" for shape in SHAPES]
    questions += [
        "What moved first? How many objects are there? Which digit does the hand show? yes no",
        "Is there a ball? Is there an orange box? What enters? to the left to the right downwards",
    ]
    words = [*COLOURS, *COUNTS, *DIGITS, *(f"the {shape}" for shape in SHAPES), *PROMPTS.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(vocabulary_texts() + questions * 20 + words * 20, trainer)
    return tokenizer
