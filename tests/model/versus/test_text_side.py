"""What both contenders learn from texts alone: no clip, no held-out combination, and the text sides alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vljepa_data.world import (
    BRIEF,
    COLOURS,
    PROMPTS,
    SHAPES,
    Split,
    Thing,
    brief_caption,
    draw_events,
    make_clip,
    meaning,
)
from vljepa_data.world.language import noun
from vljepa_data.world.vocabulary import is_held_out
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.errors import CheckpointError
from vljepa_model.runs.loop import read_state
from vljepa_model.versus.contenders import CONTENDERS, JepaContender
from vljepa_model.versus.contest import Contest
from vljepa_model.versus.plan import Plan
from vljepa_model.versus.text_side import TextPairs, text_side

PLAN = Plan(
    seeds=(0,), samples=8, batch=4, clips=8, held_out=6, keep=12, candidates=9, points=(4,), warmup=1,
    width=32, depth=1, vlm_width=32, embedding_dim=16, text_pairs=16, y_encoder_rate=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def contest(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Contest:
    """A contest whose runs are done."""
    contest = Contest(tmp_path_factory.mktemp("contest"), checkpoint, PLAN)
    contest.runs()
    return contest


def pairs(contest: Contest, seed: int = 0) -> TextPairs:
    """Those of a contest."""
    width = contest.checkpoint.config.x_encoder.width
    return TextPairs(contest.tokenizer, contest.plan, seed, visual_width=width)


@pytest.mark.parametrize("split", [Split.TRAIN, Split.COMPOSITION])
def test_what_might_happen_is_what_clips_of_the_split_show(split: Split) -> None:
    rng = np.random.default_rng(1)
    drawn = [draw_events(rng, split) for _ in range(400)]
    clips = [make_clip(seed, split, size=16, frames=2) for seed in range(400)]
    for events in drawn:
        assert {is_held_out(event.actor, event.action) for event in events} == {split is Split.COMPOSITION}
    lengths = [np.mean([len(events) for events in some]) for some in (drawn, [clip.events for clip in clips])]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.1)
    actions = [
        {event.action for events in some for event in events} for some in (drawn, [c.events for c in clips])
    ]
    assert actions[0] == actions[1] == set(BRIEF)


def test_two_wordings_mean_the_same_and_no_video_is_there(contest: Contest) -> None:
    things = [Thing(shape, colour) for shape in range(len(SHAPES)) for colour in range(len(COLOURS))]
    meant = {
        template.format(s=noun(thing)): brief_caption(thing, action)
        for thing in things
        for action, templates in BRIEF.items()
        for template in templates
    }
    texts, compared, reworded = pairs(contest), 0, 0
    for samples in (texts[step] for step in range(len(texts))):
        assert samples.one.visual.shape == samples.other.visual.shape == (4, 0, 32)
        for query, one, other, key in zip(
            samples.one.queries, samples.one.answers, samples.other.answers, samples.one.keys.tolist()
        ):
            asked, first, second = (contest.tokenizer.decode(ids).strip() for ids in (query, one, other))
            assert asked in (PROMPTS["caption"].lower(), PROMPTS["classify"].lower())
            reworded += first != second
            if asked == PROMPTS["classify"].lower() and first in meant:  # one thing happens
                assert meaning(meant[first]) == meaning(meant[second]) == key
                compared += 1
    assert compared > 2
    assert reworded > 2
    assert samples.one.queries == samples.other.queries


def test_texts_depend_on_seed_and_step_alone(contest: Contest) -> None:
    texts = pairs(contest)
    assert pairs(contest)[3].other.answers == texts[3].other.answers
    assert pairs(contest, seed=1)[3].other.answers != texts[3].other.answers
    assert texts[2].one.answers != texts[3].one.answers


@pytest.mark.parametrize(
    ("name", "learned"),
    [("vl-jepa", ("y_encoder.", "y_decoder.")), ("token-vlm", ("vlm.embed.", "vlm.stack."))],
)
def test_texts_change_the_text_side_alone(
    contest: Contest, checkpoint: Checkpoint, tmp_path: Path, name: str, learned: tuple[str, ...]
) -> None:
    new = Contest(tmp_path, checkpoint, replace(PLAN, text_pairs=0))._new(name, 0)
    begun = contest._new(name, 0)
    contest._learn_texts(begun, name, 0)
    before = dict(new.named_parameters())
    for part, weights in begun.named_parameters():
        assert torch.equal(weights, before[part]) != part.startswith(learned), part


@pytest.mark.parametrize("name", CONTENDERS)
def test_texts_are_learned(contest: Contest, checkpoint: Checkpoint, tmp_path: Path, name: str) -> None:
    longer = Contest(tmp_path, checkpoint, replace(PLAN, text_pairs=320))
    new, taught = longer._new(name, 0), longer._new(name, 0)
    longer._learn_texts(taught, name, 0)
    unseen = pairs(longer, seed=9)
    losses = []
    for contender in (new, taught):
        torch.manual_seed(0)
        with torch.inference_mode():
            losses.append(np.mean([float(text_side(contender).loss(unseen[step])) for step in range(8)]))
    assert losses[1] < 0.8 * losses[0]


def test_the_y_decoder_says_the_other_wording(contest: Contest) -> None:
    """The loss by hand: each wording from the other's embedding, and both against the other meanings of the batch."""
    jepa = contest.load("vl-jepa", 0)[1]
    assert isinstance(jepa, JepaContender)
    jepa.noise, side, texts = 0.0, text_side(jepa), pairs(contest)[0]
    config, words = contest.checkpoint.config, []
    with torch.inference_mode():
        rows = [
            [
                torch.nn.functional.normalize(jepa.y_encoder(ids, torch.ones_like(ids)), dim=-1)[0]
                for ids in side_ids
            ]
            for side_ids in ([torch.tensor([a]) for a in half.answers] for half in (texts.one, texts.other))
        ]
        for half, embeddings in ((texts.other, rows[0]), (texts.one, rows[1])):
            total, count = 0.0, 0
            for answer, embedding in zip(half.answers, embeddings, strict=True):
                ids = torch.tensor([[*answer, config.eos_id]])
                logits = jepa.y_decoder(embedding[None], ids)[0]
                total += float(torch.nn.functional.cross_entropy(logits, ids[0], reduction="sum"))
                count += len(answer) + 1
            words.append(total / count)
        scores = torch.stack(rows[0]) @ torch.stack(rows[1]).T / side.log_temperature.exp()
        same = (texts.one.keys[:, None] == texts.one.keys) & ~torch.eye(4, dtype=torch.bool)
        scores = scores.masked_fill(same, -torch.inf)
        own = torch.arange(4)
        aligned = sum(float(torch.nn.functional.cross_entropy(s, own)) for s in (scores, scores.T)) / 2
        assert float(side.loss(texts)) == pytest.approx(aligned + sum(words) / 2, abs=1e-4)


def test_seconds_on_texts_are_told_apart(contest: Contest) -> None:
    for curve in contest.so_far():
        state = read_state(contest.folder / f"{curve.contender}-0-text.pt")
        assert state["step"] == 4
        assert curve.to_dict()["text_s"] == curve.text_s == state["train_s"] > 0
        assert curve.points[0].samples == 4


def test_a_contest_stopped_among_texts_ends_as_an_unbroken_one(
    contest: Contest, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_model.versus.contest.SAVE_S", 0.0)
    said: list[str] = []

    def stop(what: str, share: float, detail: str) -> None:
        said.append(what)
        if said.count("vl-jepa seed 0, texts") == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Contest(tmp_path, checkpoint, PLAN, report=stop).runs()
    assert read_state(tmp_path / "vl-jepa-0-text.pt")["step"] == 2
    again = Contest(tmp_path, checkpoint)
    for one, other in zip(again.runs(), contest.runs(), strict=True):
        assert [replace(p, train_s=0.0) for p in one.points] == [
            replace(p, train_s=0.0) for p in other.points
        ]
    for name in CONTENDERS:
        for one, other in zip(again.load(name, 0)[1].parameters(), contest.load(name, 0)[1].parameters()):
            assert torch.equal(one, other)


def test_a_y_encoder_at_rate_zero_keeps_what_texts_taught(
    contest: Contest, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    plan = replace(PLAN, y_encoder_rate=0.0)
    still = Contest(tmp_path, checkpoint, plan, clips=contest)
    still._train("vl-jepa", 0, plan.steps)
    taught = read_state(tmp_path / "vl-jepa-0-text.pt")["weights"]
    for part, weights in still.load("vl-jepa", 0)[1].named_parameters():
        if part in taught and part != "log_temperature":
            assert torch.equal(weights, taught[part]) == part.startswith("y_encoder."), part


def test_another_contests_clips_are_read_where_they_fit(
    contest: Contest, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    other = Contest(tmp_path / "a", checkpoint, replace(PLAN, batch=2), clips=contest)
    assert torch.equal(other.train.visual, contest.train.visual)
    assert not (tmp_path / "a" / "bank").exists()
    own = Contest(tmp_path / "b", checkpoint, replace(PLAN, keep=8), clips=contest)
    assert own.held_out.visual.shape[1] == 8
    assert (tmp_path / "b" / "bank").exists()


def test_what_is_no_contest_is_not_opened(contest: Contest, checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert Contest.open(contest.folder, checkpoint).plan == PLAN
    with pytest.raises(CheckpointError, match="expected the folder of a contest"):
        Contest.open(tmp_path, checkpoint)
    assert not list(tmp_path.iterdir())
