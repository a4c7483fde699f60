"""Every wording of every caption is read back into what it says."""

from __future__ import annotations

import pytest

from vljepa_data.world import Clip, Event, Split, Thing, make_clip
from vljepa_data.world.language import FRAMES, hand_caption, paraphrases
from vljepa_data.world.vocabulary import ACTIONS, DIRECTED, PAIRED
from vljepa_evaluation.tasks import describe, matches, parse
from vljepa_evaluation.tasks.attributes import Claim, Described

ACTOR, OTHER, BYSTANDER = Thing(0, 0, 0, 1), Thing(7, 3, 1, 0), Thing(5, 7, 1, 2)


def clip_of(*events: Event, aside: tuple[Thing, ...] = ()) -> Clip:
    return Clip(make_clip(0, Split.TEST).frames, events, aside)


def event_of(action: str, side: str = "right", actor: Thing = ACTOR) -> Event:
    return Event(actor, action, side if action in DIRECTED else "", OTHER if action in PAIRED else None)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("level", ["classify", "caption", "retrieval"])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_paraphrase(action: str, level: str, side: str) -> None:
    clip = clip_of(event_of(action, side), aside=(BYSTANDER,))
    for words in paraphrases(clip.events, level, aside=clip.aside):
        for frame in FRAMES:
            text = frame.format(c=words)
            assert parse(text) == describe(clip, level), text


def test_two_events() -> None:
    clip = clip_of(event_of("jump"), event_of("leave", "left", OTHER))
    for words in paraphrases(clip.events, "caption"):
        assert parse(words) == describe(clip), words


@pytest.mark.parametrize("digits", [(3,), (1, 9)], ids=["one", "two"])
def test_hands(digits: tuple[int, ...]) -> None:
    assert parse(hand_caption(digits)).digits == digits


def test_clips_of_the_world() -> None:
    for seed in range(40):
        clip = make_clip(seed, Split.TEST)
        for words in paraphrases(clip.events, "retrieval", aside=clip.aside):
            assert matches(parse(words), describe(clip, "retrieval"))["all"] == 1.0, words


def test_made_up_text_is_read_as_far_as_it_makes_sense() -> None:
    assert parse("").claims == (Claim(),)
    assert parse("Ball the rolls red").claims == (Claim(action="roll"),)
    assert parse("a red ball rolls and jumps").claims[0].action == ""
    assert parse("a blue box").claims[0].actor == Described("blue", "box")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a red ball moves right and hits a green moon", set()),
        ("a blue ball moves right and hits a green moon", {"colour", "all"}),
        ("a red box moves right and hits a green moon", {"shape", "all"}),
        ("a red ball passes right behind a green moon", {"action", "all"}),
        ("a red ball moves left and hits a green moon", {"direction", "all"}),
        ("a red ball moves right and hits a green box", {"other", "all"}),
        (
            "a red ball moves right and hits a green moon, then a red box jumps",
            {"colour", "shape", "action", "direction", "other", "all"},
        ),
    ],
)
def test_each_mistake_is_named(text: str, wrong: set[str]) -> None:
    truth = describe(clip_of(event_of("collide")))
    assert {name for name, right in matches(parse(text), truth).items() if not right} == wrong
