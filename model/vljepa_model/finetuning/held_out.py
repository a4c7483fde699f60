"""What a model knows of annotated clips that it did not learn from: finding videos, and choosing answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vljepa_data.annotations import Example, by_segment, survey
from vljepa_evaluation.metrics import ranks
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.errors import ConfigError
from vljepa_model.finetuning.batches import load_clips
from vljepa_model.finetuning.objective import encode_clips
from vljepa_model.finetuning.texts import Tokenizers, meaning_of, tokenise
from vljepa_model.finetuning.visual_cache import VisualCache

__all__ = ["HeldOutResults", "measure_held_out"]

AT_ONCE = 16
MAX_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutResults:
    """Results on held-out clips; shares lie in 0..1.

    Attributes:
        recall_at_1: Text to video: share of the texts whose own clip comes first.
        recall_at_5: Share whose own clip is among the first five.
        recall_chance: `recall_at_1` of a guess.
        clips: Clips in the pool, each with a first text of its own.
        choice: Share of the queries with candidates whose right answer is chosen; None where none has any.
        choice_chance: `choice` of a guess.
        queries: How many have candidates.
        skipped: Clips left out because their video cannot be read.
    """

    recall_at_1: float
    recall_at_5: float
    recall_chance: float
    clips: int
    choice: float | None
    choice_chance: float | None
    queries: int
    skipped: int


def measure_held_out(
    checkpoint: Checkpoint, examples: Sequence[Example], *, cache: VisualCache | None = None
) -> HeldOutResults:
    """Rank all clips for the first text of each, and the candidates of every example that has some.

    Of clips whose first texts mean the same, one is taken: they could not be told apart.

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
        HeldOutResults(recall_at_1=1.0, recall_at_5=1.0, recall_chance=0.5, clips=2, ...)
    """
    groups = by_segment(examples)
    bad = {unusable.segment for unusable in survey(groups)}
    if len(bad) == len(groups):
        raise ConfigError(f"expected held-out clips that can be read, none of {len(groups)} can")
    firsts = [texts[0] for segment, texts in groups.items() if segment not in bad]
    pool = list({meaning_of(example.text): example for example in firsts}.values())
    model = _Embedder(checkpoint, cache)
    places = ranks((model.texts([example.text for example in pool]) @ model.videos(pool).T).numpy())
    choosing = [example for example in examples if example.candidates and example.segment not in bad]
    hits = model.choices(choosing)
    return HeldOutResults(
        recall_at_1=float(np.mean(places < 1)),
        recall_at_5=float(np.mean(places < 5)),
        recall_chance=1 / len(pool),
        clips=len(pool),
        choice=float(np.mean(hits)) if hits else None,
        choice_chance=float(np.mean([1 / len(e.candidates) for e in choosing])) if hits else None,
        queries=len(hits),
        skipped=len(bad),
    )


class _Embedder:
    """Embeds clips and texts, a few at a time."""

    def __init__(self, checkpoint: Checkpoint, cache: VisualCache | None) -> None:
        self.pre, self.cache = checkpoint.preprocess, cache
        self.model = checkpoint.model.eval().requires_grad_(False)
        self.tokenizers = Tokenizers.of(checkpoint)
        self.device = self.model.log_temperature.device

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
        if not examples:
            return []
        names = list(dict.fromkeys(name for example in examples for name in example.candidates))
        known = dict(zip(names, self.texts(names), strict=True))
        hits = []
        for example, predicted in zip(examples, self.videos(examples), strict=True):
            scores = torch.stack([known[name] for name in example.candidates]) @ predicted
            hits.append(example.candidates[int(scores.argmax())] == example.text)
        return hits
