"""The controlled comparison: equal terms for both, a fair measure, and runs that go on after a stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from vljepa_data.world.language import brief_captions
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.errors import CheckpointError, ConfigError
from vljepa_model.versus.bank import LEVELS, Bank
from vljepa_model.versus.contenders import CONTENDERS, VlmContender, build, parameters
from vljepa_model.versus.contest import Contest
from vljepa_model.versus.lessons import Lessons, Samples
from vljepa_model.versus.measure import measure
from vljepa_model.versus.plan import Plan
from vljepa_model.versus.timing import answer_cells

SMALL = Plan(
    seeds=(0,), samples=16, batch=4, clips=8, held_out=6, keep=12, candidates=9, points=(8,), warmup=1,
    width=32, depth=1, vlm_width=32, embedding_dim=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def contest(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Contest:
    """A contest whose runs are done."""
    contest = Contest(tmp_path_factory.mktemp("contest"), checkpoint, SMALL)
    contest.runs()
    return contest


def test_every_run_is_measured_at_every_point(contest: Contest) -> None:
    runs = contest.runs()
    assert [run.contender for run in runs] == list(CONTENDERS)
    for run in runs:
        assert [point.samples for point in run.points] == [8, 16]
        assert all(0 <= point.top1 <= point.top5 <= 1 and 0 <= point.cider <= 10 for point in run.points)
        assert run.points[0].train_s < run.points[1].train_s


def test_a_stopped_contest_ends_as_an_unbroken_one(
    contest: Contest, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_model.versus.contest.SAVE_S", 0.0)
    steps = 0

    def stop(what: str, share: float, detail: str) -> None:
        nonlocal steps
        steps += what.startswith("token-vlm")
        if steps == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Contest(tmp_path, checkpoint, SMALL, report=stop).runs()
    again = Contest(tmp_path, checkpoint)
    assert [(run.contender, len(run.points)) for run in again.so_far()] == [("vl-jepa", 1), ("token-vlm", 0)]
    for one, other in zip(again.runs(), contest.runs(), strict=True):
        for mine, theirs in zip(one.points, other.points, strict=True):
            assert replace(mine, train_s=0.0) == replace(theirs, train_s=0.0)
    for name in CONTENDERS:
        for one, other in zip(again.load(name, 0)[1].parameters(), contest.load(name, 0)[1].parameters()):
            assert torch.equal(one, other)


def test_another_plan_or_x_encoder_is_refused(contest: Contest, checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"another plan \(lr differ\)"):
        Contest(contest.folder, checkpoint, replace(SMALL, lr=1.0))
    path = contest.folder / "plan.json"
    kept = path.read_text()
    path.write_text(json.dumps({**json.loads(kept), "x_encoder": "0123456789abcdef"}))
    with pytest.raises(CheckpointError, match="another x_encoder: choose another folder"):
        Contest(contest.folder, checkpoint)
    path.write_text(kept)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 10}, "samples a multiple of batch"),
        ({"clips": 2}, "batch at most clips"),
        ({"seeds": ()}, "one seed or more"),
        ({"seeds": (1, 1)}, "each once"),
        ({"width": 40}, "multiples of 32"),
        ({"text_pairs": 6}, "text_pairs 0 or a multiple of batch"),
        ({"text_pairs": -4}, "text_pairs: expected a whole number of at least 0, got -4"),
        ({"held_out": 0}, "held_out: expected a whole number above 0, got 0"),
        ({"typo": 1}, "unknown keys typo"),
    ],
)
def test_a_wrong_plan_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Plan.from_dict({**SMALL.to_dict(), **changes})


def test_a_plan_survives_json_and_measures_at_the_end() -> None:
    assert Plan.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    assert Plan(samples=1024, points=(100, 512, 4096)).measured_at == (1, 4, 8)


def test_the_vlm_has_about_twice_the_parameters(checkpoint: Checkpoint) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))
    jepa, vlm = (parameters(build(name, checkpoint.config, tokenizer, Plan())) for name in CONTENDERS)
    assert sum(vlm.values()) / (jepa["predictor"] + jepa["y_encoder"]) == pytest.approx(2.0, abs=0.2)


def test_a_clip_comes_again_only_after_all_others(contest: Contest) -> None:
    lessons = Lessons(contest.train, contest.tokenizer, SMALL, seed=3)
    known = [visual.float() for visual in contest.train.visual]

    def clips(step: int) -> list[int]:
        return [
            next(i for i, one in enumerate(known) if torch.equal(one, row)) for row in lessons[step].visual
        ]

    assert sorted(clips(0) + clips(1)) == list(range(8))
    assert clips(0) != clips(2)
    again = Lessons(contest.train, contest.tokenizer, SMALL, seed=3)[1]
    assert (again.answers, again.keys.tolist()) == (lessons[1].answers, lessons[1].keys.tolist())


def test_what_is_learned_is_what_is_measured(contest: Contest) -> None:
    for entry in contest.held_out.entries:
        assert (
            brief_captions()[entry.label] in entry.wordings["classify"]
            or len(set(entry.wordings["classify"])) < 3
        )
        assert set(entry.wordings) == set(LEVELS)
        assert any(entry.references[0] in text for text in [*entry.wordings["caption"], entry.references[0]])


def test_the_vlm_learns_the_answers_alone(contest: Contest) -> None:
    _, vlm = contest.load("token-vlm", 0)
    assert isinstance(vlm, VlmContender)
    samples = Lessons(contest.train, contest.tokenizer, SMALL, seed=0)[0]
    config, total, count = contest.checkpoint.config, 0.0, 0
    with torch.inference_mode():
        for row, (query, answer) in enumerate(zip(samples.queries, samples.answers)):
            ids = torch.tensor([[*query, config.bos_id, *answer, config.eos_id]])
            logits = vlm.vlm(samples.visual[row : row + 1], ids)[0, len(query) :]
            total += float(F.cross_entropy(logits, ids[0, len(query) + 1 :], reduction="sum"))
            count += len(answer) + 1
        assert float(vlm.loss(samples)) == pytest.approx(total / count, abs=1e-4)


class Oracle(nn.Module):
    """Says what is right, or the same of everything."""

    def __init__(self, bank: Bank, *, knows: bool) -> None:
        super().__init__()
        self.bank, self.knows = bank, knows
        self.asked = 0

    def loss(self, samples: Samples) -> Tensor:
        raise NotImplementedError

    def captions(self, visual: Tensor) -> list[str]:
        return [e.references[0] if self.knows else "a thing" for e in self.bank.entries[: len(visual)]]

    def class_scores(self, visual: Tensor, labels: Sequence[str]) -> Tensor:
        right = brief_captions()[self.bank.entries[self.asked].label]
        self.asked += 1
        return torch.tensor([float(self.knows and label == right) for label in labels])


def test_who_knows_all_scores_full_marks_and_who_knows_nothing_none(contest: Contest) -> None:
    everything = measure(Oracle(contest.held_out, knows=True), contest.held_out, 9)  # type: ignore[arg-type]
    assert (everything["top5"], everything["top1"]) == (1.0, 1.0)
    assert everything["cider"] > 2
    none = measure(Oracle(contest.held_out, knows=False), contest.held_out, 9)  # type: ignore[arg-type]
    assert (none["top5"], none["top1"]) == (0.0, 0.0)
    assert none["cider"] < 0.2


def test_both_are_timed_on_what_they_share(contest: Contest) -> None:
    cells = answer_cells(contest)
    jepa, vlm = (set(cells[name]) for name in CONTENDERS)
    assert vlm == {"X-encoder", "caption in words", "best of 9 labels"}
    assert jepa - vlm == {"embedding", "embedding to words"}
    for name in CONTENDERS:
        for call in cells[name].values():
            call()
