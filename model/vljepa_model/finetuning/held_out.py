"""What a model knows of annotated clips that it did not learn from: finding videos, choosing answers, saying them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vljepa_data.annotations import Example, by_segment, survey
from vljepa_evaluation.metrics import mean_of, ranks, word_f1
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.errors import ConfigError
from vljepa_model.finetuning.batches import load_clips
from vljepa_model.finetuning.objective import encode_clips
from vljepa_model.finetuning.texts import Tokenizers, meaning_of, tokenise
from vljepa_model.finetuning.visual_cache import VisualCache
from vljepa_runtime.decoder import MAX_TOKENS as MAX_WORDS

__all__ = ["ChoiceResults", "HeldOutResults", "WordResults", "measure_held_out"]

AT_ONCE = 16
MAX_TOKENS = 512
SAID = 256  # clips at most whose words are made: a decoder of a billion weights takes a second each
CONSTANTS = 64  # texts at most that are tried as the one said of every clip


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceResults:
    """Choosing the nearest of an example's candidates; shares lie in 0..1.

    Attributes:
        right: Share of the queries whose right answer is chosen.
        chance: `right` of a guess.
        blind: `right` of whoever always gives the most frequent right answer.
        queries: How many there are.
    """

    right: float
    chance: float
    blind: float
    queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WordResults:
    """What the Y-decoder says of clips; shares lie in 0..1.

    Attributes:
        f1: Mean F1 of the words against the text of the clip that fits best.
        blind: `f1` of the one text that fits all clips best, said of every clip.
        exact: Share of the clips of which a whole text is said word for word.
        learned: `f1` is above `blind` by more than chance explains (95 %, bootstrap over clips).
        clips: How many there are.
    """

    f1: float
    blind: float
    exact: float
    learned: bool
    clips: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutResults:
    """Results on held-out clips; shares lie in 0..1.

    Attributes:
        recall_at_1: Text to video: share of the texts whose own clip comes first.
        recall_at_5: Share whose own clip is among the first five.
        recall_chance: `recall_at_1` of a guess.
        clips: Clips in the pool, each with a first text of its own.
        choice: Choosing among candidates; None where there are none.
        words: What the Y-decoder says; None where the model has none.
        skipped: Clips left out because their video cannot be read.
    """

    recall_at_1: float
    recall_at_5: float
    recall_chance: float
    clips: int
    choice: ChoiceResults | None
    words: WordResults | None
    skipped: int


def measure_held_out(
    checkpoint: Checkpoint, examples: Sequence[Example], *, cache: VisualCache | None = None
) -> HeldOutResults:
    """Rank all clips for the first text of each, choose among candidates, and put clips into words.

    Of clips whose first texts mean the same, one is ranked: they could not be told apart. Where no example has
    candidates and the clips share a few texts, these are labels, and all of them are candidates.

    Args:
        checkpoint: Model, tokenizers and geometry; the model computes where it is, and is left in evaluation mode.
        examples: Texts about clips that no training saw.
        cache: Holds what the checkpoint's X-encoder gives; None encodes every clip.

    Raises:
        ConfigError: no clip can be read.

    Examples:
        >>> from vljepa_data.annotations import read_annotations
        >>> from vljepa_model import checkpoint_folder, load_checkpoint
        >>> from vljepa_model.finetuning import measure_held_out
        >>> measure_held_out(load_checkpoint(checkpoint_folder("tiny")), read_annotations("clips.csv"))
        HeldOutResults(recall_at_1=1.0, recall_at_5=1.0, recall_chance=0.5, clips=2, choice=None,
                       words=WordResults(f1=..., blind=..., exact=..., learned=..., clips=2), skipped=0)
    """
    bad = {unusable.segment for unusable in survey(by_segment(examples))}
    usable = [example for example in examples if example.segment not in bad]
    if not usable:
        raise ConfigError(f"expected held-out clips that can be read, none of {len(bad)} can")
    told, chosen = _asked(usable, checkpoint, "caption"), _asked(usable, checkpoint, "classify")
    firsts = [texts[0] for texts in by_segment(told).values()]
    pool = list({meaning_of(example.text): example for example in firsts}.values())
    model = _Embedder(checkpoint, cache)
    places = ranks((model.texts([example.text for example in pool]) @ model.videos(pool).T).numpy())
    return HeldOutResults(
        recall_at_1=float(np.mean(places < 1)),
        recall_at_5=float(np.mean(places < 5)),
        recall_chance=1 / len(pool),
        clips=len(pool),
        choice=_choice(model, [e for e in _with_candidates(chosen, len(firsts)) if e.candidates]),
        words=_words(model, told),
        skipped=len(bad),
    )


def _asked(examples: Sequence[Example], checkpoint: Checkpoint, task: str) -> list[Example]:
    """With what the model asks for a task where an example has no query of its own."""
    return [each for example in examples for each in example.asked(checkpoint.prompts, task)]


def _with_candidates(examples: Sequence[Example], clips: int) -> Sequence[Example]:
    """The examples; with the texts that they share as candidates where they are labels and name none."""
    labels = tuple(dict.fromkeys(example.text for example in examples))
    if any(example.candidates for example in examples) or not 2 <= len(labels) <= clips / 2:
        return examples
    return [replace(example, candidates=labels) for example in examples]


def _choice(model: _Embedder, examples: Sequence[Example]) -> ChoiceResults | None:
    if not examples:
        return None
    commonest = Counter(example.text for example in examples).most_common(1)[0][1]
    return ChoiceResults(
        right=float(np.mean(model.choices(examples))),
        chance=float(np.mean([1 / len(example.candidates) for example in examples])),
        blind=commonest / len(examples),
        queries=len(examples),
    )


def _words(model: _Embedder, examples: Sequence[Example]) -> WordResults | None:
    """Compare what is said with the texts of the same clip and query, and with one text said of all."""
    if not model.speaks:
        return None
    asked: dict[tuple[object, str], list[Example]] = {}
    for example in examples:
        asked.setdefault((example.segment, example.query), []).append(example)
    groups = list(asked.values())[:: -(-len(asked) // SAID)]
    references = [[example.text for example in group] for group in groups]
    said = model.words([group[0] for group in groups])
    f1 = np.array([word_f1(text, wanted) for text, wanted in zip(said, references, strict=True)])
    texts = Counter(text for wanted in references for text in wanted)
    constants = [[word_f1(text, wanted) for wanted in references] for text, _ in texts.most_common(CONSTANTS)]
    blind = np.array(max(constants, key=sum))
    exact = [
        meaning_of(text) in map(meaning_of, wanted) for text, wanted in zip(said, references, strict=True)
    ]
    return WordResults(
        f1=float(f1.mean()),
        blind=float(blind.mean()),
        exact=float(np.mean(exact)),
        learned=mean_of(f1 - blind, span=(-1, 1)).low > 0,
        clips=len(groups),
    )


class _Embedder:
    """Embeds clips and texts, and says embeddings, a few at a time."""

    def __init__(self, checkpoint: Checkpoint, cache: VisualCache | None) -> None:
        self.pre, self.cache = checkpoint.preprocess, cache
        self.model = checkpoint.model.eval().requires_grad_(False)
        self.tokenizers = Tokenizers.of(checkpoint)
        self.device = self.model.log_temperature.device
        self.speaks = checkpoint.config.y_decoder is not None

    def videos(self, examples: Sequence[Example]) -> Tensor:
        """Predicted embeddings (n, S) of the examples' queries about their clips."""
        rows = []
        for start in range(0, len(examples), AT_ONCE):
            some = examples[start : start + AT_ONCE]
            clips = load_clips([example.segment for example in some], self.pre, self.cache)
            visual = encode_clips(self.model.x_encoder, clips.to(self.device), self.cache)
            query = tokenise(self.tokenizers.query, [example.query for example in some], MAX_TOKENS)
            rows.append(self.model.predictor(visual, *(part.to(self.device) for part in query)).float().cpu())
        return torch.cat(rows)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (n, S) of texts."""
        rows = []
        for start in range(0, len(texts), AT_ONCE):
            words = tokenise(self.tokenizers.text, texts[start : start + AT_ONCE], MAX_TOKENS)
            rows.append(self.model.y_encoder(*(part.to(self.device) for part in words)).float().cpu())
        return torch.cat(rows)

    def choices(self, examples: Sequence[Example]) -> list[bool]:
        """Whether each example's text is the nearest of its candidates."""
        names = list(dict.fromkeys(name for example in examples for name in example.candidates))
        known = dict(zip(names, self.texts(names), strict=True))
        hits = []
        for example, predicted in zip(examples, self.videos(examples), strict=True):
            scores = torch.stack([known[name] for name in example.candidates]) @ predicted
            hits.append(example.candidates[int(scores.argmax())] == example.text)
        return hits

    def words(self, examples: Sequence[Example]) -> list[str]:
        """What the Y-decoder makes of the examples' queries about their clips, as a bundle's would."""
        tokenizer, said = self.tokenizers.words, list[str]()
        banned = [token for token in (tokenizer.pad_id, tokenizer.bos_id) if token != tokenizer.eos_id]
        for rows in torch.split(self.videos(examples), AT_ONCE):
            ids = self.model.y_decoder.generate(
                rows.to(self.device), eos_id=tokenizer.eos_id, limit=MAX_WORDS, banned=banned
            )
            said += [tokenizer.decode(row) for row in ids]
        return said
