"""The procedural world: its truth agrees with its pixels, its splits do not mix, its answers are balanced."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from vljepa_data.world import (
    QUESTION_TYPES,
    Split,
    answers,
    ask,
    caption_lesson,
    draw_lesson,
    make_clip,
    make_stream,
    question_lesson,
    question_types,
    tubelet_truth,
    wordings,
)  # fmt: skip
from vljepa_data.world.language import LEVELS, brief_caption, meaning, near_miss, paraphrases
from vljepa_data.world.render import RGB
from vljepa_data.world.vocabulary import ACTIONS, COLOURS, SHAPES, Event, Thing, is_held_out


def test_a_clip_depends_on_its_seed_and_split_alone() -> None:
    one, again, other = make_clip(5, Split.TEST), make_clip(5, Split.TEST), make_clip(6, Split.TEST)
    assert np.array_equal(one.frames, again.frames)
    assert one.events == again.events
    assert not np.array_equal(one.frames, other.frames)
    assert not np.array_equal(one.frames, make_clip(5, Split.TRAIN).frames)


def test_every_pair_of_attributes_is_trained_though_combinations_are_held_out() -> None:
    kept = [c for c in product(range(8), range(8), ACTIONS) if not is_held_out(Thing(c[0], c[1]), c[2])]
    assert len(kept) == 768 - 96
    for first, second in ((0, 1), (0, 2), (1, 2)):
        pairs = {(c[first], c[second]) for c in kept}
        assert len(pairs) == (64 if (first, second) == (0, 1) else 96)


@pytest.mark.parametrize("split", [Split.TRAIN, Split.TEST])
def test_held_out_combinations_never_act_outside_their_split(split: Split) -> None:
    events = [event for seed in range(300) for event in _events(seed, split)]
    assert not any(is_held_out(event.actor, event.action) for event in events)


def test_the_composition_split_holds_nothing_else() -> None:
    assert all(
        is_held_out(event.actor, event.action)
        for seed in range(60)
        for event in _events(seed, Split.COMPOSITION)
    )


def _events(seed: int, split: Split) -> tuple[Event, ...]:
    return make_clip(seed, split, size=16).events


def test_dense_truth_names_the_colour_that_the_pixels_have() -> None:
    """Mean colour of the tubelets that the truth gives to an object is nearest to that object's own colour."""
    hits = total = 0
    for seed in range(60):
        clip = make_clip(seed, Split.TEST, kind="single")
        truth = tubelet_truth(clip, (4, 8, 8)).reshape(4, 8, 8, 6)
        cells = clip.frames.reshape(4, 2, 8, 12, 8, 12, 3).mean(axis=(1, 3, 5))
        for track in clip.tracks[:1]:
            where = (truth[..., 0] == 1 + track.thing.shape) & (truth[..., 1] == track.thing.colour)
            if (
                track.thing.texture
                or where.sum() < 4
                or SHAPES[track.thing.shape] not in ("ball", "box", "heart")
            ):
                continue
            palette = np.array([RGB[name] for name in COLOURS], float)
            seen = np.median(cells[where], axis=0)
            hits += int(np.argmin(np.linalg.norm(palette - seen, axis=1)) == track.thing.colour)
            total += 1
    assert total >= 8
    assert hits / total > 0.6  # chance is 1/8; lighting and scenery showing through move some


def test_a_directed_actor_moves_the_way_its_caption_says() -> None:
    for seed in range(120):
        clip = make_clip(seed, Split.TEST, kind="single", size=16)
        event, x = clip.events[0], clip.tracks[0].pose.x
        if event.direction and event.action != "collide":  # a collision bounces back
            assert np.sign(x[-1] - x[0]) == (1 if event.direction == "right" else -1)


def test_paraphrases_are_distinct_and_name_the_actor() -> None:
    event = Event(Thing(0, 0), "collide", "left", Thing(1, 4))
    for level in LEVELS:
        texts = paraphrases([event], level)
        assert len(set(texts)) == len(texts) >= 2
        assert all("red ball" in text for text in texts)


def test_a_near_miss_never_means_the_same() -> None:
    rng = np.random.default_rng(0)
    for seed in range(200):
        clip = make_clip(seed, Split.TRAIN, kind="single", size=16)
        event = clip.events[0]
        assert paraphrases([near_miss(event, rng)], "caption")[0] != paraphrases([event], "caption")[0]


def test_brief_captions_of_all_combinations_are_distinct() -> None:
    labels = {brief_caption(Thing(s, c), a) for s, c, a in product(range(8), range(8), ACTIONS)}
    assert len(labels) == 768
    assert len({meaning(label) for label in labels}) == 768


@pytest.mark.parametrize(
    ("kind", "chance"),
    [
        ("what", 1 / 8),
        ("colour", 1 / 8),
        ("count", 1 / 4),
        ("presence", 0.5),
        ("exists", 0.5),
        ("direction", 0.5),
        ("first", 1 / 8),
    ],
)
def test_answers_are_balanced(kind: str, chance: float) -> None:
    rng = np.random.default_rng(1)
    given: Counter[str] = Counter()
    for seed in range(900):
        clip = make_clip(seed, Split.TEST, size=8, kind="pair" if kind == "first" else "single")
        if kind in question_types(clip):
            qa = ask(clip, kind, rng)
            assert qa.answer in qa.candidates
            assert qa.question in wordings(kind)
            assert qa.candidates == answers(kind)
            given[qa.answer] += 1
    assert max(given.values()) / sum(given.values()) < chance * 1.35


def test_answers_are_true() -> None:
    rng = np.random.default_rng(2)
    for seed in range(150):
        clip = make_clip(seed, Split.TEST, size=8)
        for kind in question_types(clip):
            qa = ask(clip, kind, rng)
            if kind == "exists":
                named = any(f"{COLOURS[t.colour]} {SHAPES[t.shape]}" in qa.question for t in clip.things)
                assert (qa.answer == "yes") == named
            if kind == "presence":
                there = {f"a {SHAPES[t.shape]}" for t in clip.things}
                there |= {f"anything {COLOURS[t.colour]}" for t in clip.things}
                asked = qa.question.removeprefix("Is there ").removesuffix("?")
                assert (qa.answer == "yes") == (asked in there)
            if kind == "colour":
                shape = qa.question.removeprefix("What colour is the ").removesuffix("?")
                assert [COLOURS[t.colour] for t in clip.things if SHAPES[t.shape] == shape] == [qa.answer]


def test_lessons_have_a_wrong_text_of_another_meaning() -> None:
    rng = np.random.default_rng(3)
    for seed in range(100):
        lesson = draw_lesson(make_clip(seed, Split.TRAIN, size=8), rng, questions=0.5)
        assert lesson.key != lesson.wrong_key
        assert lesson.target != lesson.wrong


def test_asking_what_a_clip_cannot_answer_says_what_it_can() -> None:
    clip = make_clip(0, Split.TEST, kind="single", size=8)
    with pytest.raises(ValueError, match="it can: what"):
        ask(clip, "digit", np.random.default_rng(0))


def test_hand_clips_need_photographs() -> None:
    with pytest.raises(ValueError, match="HandBank"):
        make_clip(0, Split.TRAIN, kind="hand")


def test_question_types_are_all_reachable() -> None:
    seen = {kind for seed in range(40) for kind in question_types(make_clip(seed, Split.TEST, size=8))}
    assert seen == set(QUESTION_TYPES) - {"digit"}


def test_caption_and_quiz_lessons_carry_the_prompt_or_question() -> None:
    clip, rng = make_clip(1, Split.TRAIN, kind="single", size=8), np.random.default_rng(0)
    assert caption_lesson(clip, "classify", rng).query == "What is the action shown?"
    assert question_lesson(clip, "colour", rng).query.startswith("What colour is the")


def test_a_stream_is_covered_by_its_annotations_and_repeats_exactly() -> None:
    stream = make_stream(4, Split.TEST, minutes=0.3, size=32, fps=4)
    assert stream.events[0].start_s == 0
    assert stream.events[-1].end_s == pytest.approx(stream.seconds)
    assert all(a.end_s == b.start_s for a, b in zip(stream.events, stream.events[1:]))
    frames = list(stream)
    assert len(frames) == len(stream) == 72
    assert np.array_equal(frames[40], list(stream)[40])
