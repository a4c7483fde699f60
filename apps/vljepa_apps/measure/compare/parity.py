"""How far two subjects compute the same on the same inputs, measured here: graph by graph, and end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.gates import GraphParity, compare_outputs
from vljepa_runtime.errors import VljepaError

if TYPE_CHECKING:
    from vljepa_apps.measure.subject import Subject
    from vljepa_data.world import Clip

__all__ = ["MeasuredParity", "measured_parity"]

CLIPS = 12
FIRST_SEED = 7_000_000  # clips of no task
FRAME_SIZE = 240  # unlike any window's, so that fitting counts
EVERY_LABEL = 6  # of 768 captions
TEXTS, WINDOWS, WORDS = "texts, end to end", "windows, end to end", "words, end to end"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredParity:
    """One graph, or a way from end to end, of a subject against the first one.

    Attributes:
        name: The graph's, or what went in.
        label: Of the subject.
        base: Of the first one.
        parity: Of the outputs; None where they are words, or could not be compared.
        same: Share of the outputs that are the same words; None where they are numbers.
        note: Why it was not measured; empty when it was.
    """

    name: str
    label: str
    base: str
    parity: GraphParity | None = None
    same: float | None = None
    note: str = ""

    @property
    def identical(self) -> bool:
        """Whether every number or word is the same."""
        return self.same == 1.0 or (self.parity is not None and self.parity.max_abs == 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self) | {"identical": self.identical}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> MeasuredParity:
        """What `to_dict` gave."""
        parity = GraphParity(**plain["parity"]) if plain["parity"] else None
        return cls(**{name: plain[name] for name in ("name", "label", "base", "same", "note")}, parity=parity)


def measured_parity(
    base: Subject, base_model: Any, subject: Subject, model: Any, *, labels: tuple[str, str]
) -> Iterator[MeasuredParity]:
    """Compare a subject with the first one; models of other kinds compute other things, and are not compared.

    Args:
        base: The first subject.
        base_model: What it loads to.
        subject: Another.
        model: What that loads to.
        labels: Of the subject and of the first one.
    """
    if not (base.is_ours and subject.is_ours):
        return
    row = partial(MeasuredParity, label=labels[0], base=labels[1])
    if base.is_bundle and subject.is_bundle:
        yield from _graphs(base, base_model, subject, model, row)
    clips = _clips()
    for name, feed in {TEXTS: _texts, WINDOWS: _windows}.items():
        try:
            rows = [feed(each, clips) for each in (base_model, model)]
        except VljepaError as error:
            yield row(name=name, note=str(error))
            continue
        if rows[0].shape != rows[1].shape:
            note = f"embeddings of {rows[1].shape[-1]} numbers against {rows[0].shape[-1]}"
            yield row(name=name, note=note)
            continue
        yield row(name=name, parity=compare_outputs([[rows[0]]], [[rows[1]]]))
    if all(getattr(each, "has_decoder", True) for each in (base_model, model)):
        said = [_words(each, clips) for each in (base_model, model)]
        yield row(name=WORDS, same=float(np.mean([a == b for a, b in zip(*said)])))


def _graphs(
    base: Subject, base_model: Any, subject: Subject, model: Any, row: Callable[..., MeasuredParity]
) -> Iterator[MeasuredParity]:
    """Every graph that both have, on what the first one's graphs gave to each other."""
    from vljepa_evaluation.gates import Reference, check_gates, record_reference
    from vljepa_quant import limits_for

    try:
        reference = record_reference(
            base_model.bundle, base.open_engine(base_model), like=model.bundle.manifest
        )
        results = check_gates(
            model.bundle, subject.open_engine(model), Reference(samples=reference.samples), limits=limits_for
        )
    except (VljepaError, KeyError) as error:
        yield row(name="graphs", note=f"{type(error).__name__}: {error}")
        return
    for graph in results.graphs:
        note = "" if graph.parity else "; ".join(graph.misses) or "its inputs are others"
        yield row(name=graph.name, parity=graph.parity, note=note)


def _clips() -> Sequence[tuple[Clip, tuple[str, ...]]]:
    """Clips, and what is asked of each: two of the prompts, and every question that can be asked of it."""
    from vljepa_data.world import PROMPTS, Split, ask, make_clip, question_types

    seeds = range(FIRST_SEED, FIRST_SEED + CLIPS)
    clips = [(seed, make_clip(seed, Split.TEST, size=FRAME_SIZE)) for seed in seeds]
    return [
        (
            clip,
            (PROMPTS["caption"], PROMPTS["classify"])
            + tuple(ask(clip, kind, np.random.default_rng(seed)).question for kind in question_types(clip)),
        )
        for seed, clip in clips
    ]


def _windows(model: Any, clips: Sequence[tuple[Clip, tuple[str, ...]]]) -> npt.NDArray[np.float32]:
    """Embeddings of frames and queries, from pictures on."""
    seen = [(model.encode(clip.frames), queries) for clip, queries in clips]
    return np.stack([model.predict(visual, query) for visual, queries in seen for query in queries])


def _texts(model: Any, clips: Sequence[tuple[Clip, tuple[str, ...]]]) -> npt.NDArray[np.float32]:
    """Embeddings of captions and of every answer to the clips' questions, from words on."""
    from vljepa_data.world import ask, brief_captions, question_types

    answers = dict.fromkeys(
        answer
        for clip, _ in clips
        for kind in question_types(clip)
        for answer in ask(clip, kind, np.random.default_rng(0)).candidates
    )
    rows: npt.NDArray[np.float32] = model.embed_text([*brief_captions()[::EVERY_LABEL], *answers])
    return rows


def _words(model: Any, clips: Sequence[tuple[Clip, tuple[str, ...]]]) -> list[str]:
    """Captions, from pictures to words."""
    return [model.decode(model.predict(model.encode(clip.frames), queries[0])) for clip, queries in clips]
