"""Training: a killed run goes on as if nothing had happened, and what is learned is more than chance."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from vljepa_data.world.language import vocabulary_texts
from vljepa_data.world.truth import DENSE_CLASSES, IGNORE
from vljepa_model.checkpoint import load_checkpoint, preprocess_of
from vljepa_model.config import ModelConfig
from vljepa_model.errors import CheckpointError, ConfigError
from vljepa_model.training.batches import WorldBatches, encode_texts
from vljepa_model.training.objective import DenseHeads, Objective, embed_texts
from vljepa_model.training.optimiser import optimiser_for
from vljepa_model.training.recipe import Recipe
from vljepa_model.training.trainer import WHITENING_STEPS, extend, train
from vljepa_model.training.vocabulary import train_tokenizer
from vljepa_model.training.whitening import SCALE, whiten
from vljepa_model.vl_jepa import VLJEPA

SMALL = Recipe(
    steps=5, stage_zero=1, stage_one=3, clips=4, lessons=2, keep=(32,), keep_odds=(1.0,), finish=0.0, warmup=1
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(1024)


def test_every_word_of_the_world_is_one_token(tokenizer: Tokenizer) -> None:
    for text in vocabulary_texts()[:2000:7]:
        assert len(tokenizer.encode(text).ids) == len(text.replace(",", " ,").split())


def test_any_other_text_can_still_be_written(tokenizer: Tokenizer) -> None:
    text = "a façade, 7 zebras & rain"
    assert tokenizer.decode(tokenizer.encode(text).ids).strip() == text


def test_a_batch_depends_on_recipe_and_step_alone(tokenizer: Tokenizer) -> None:
    pre = preprocess_of(ModelConfig.preset("tiny"))
    forward = WorldBatches(SMALL, pre, tokenizer)
    first, second = forward[2], forward[3]
    jumped = WorldBatches(SMALL, pre, tokenizer)[3]
    assert torch.equal(jumped.patches, second.patches)
    assert torch.equal(jumped.text_ids, second.text_ids)
    assert not torch.equal(first.patches, second.patches)
    assert first.patches.shape == (4, 32, pre.patch_dim)
    assert len(first.query_ids) == 8
    assert len(first.text_ids) == 8 + 4


def test_each_clip_is_seen_in_two_successive_batches(tokenizer: Tokenizer) -> None:
    whole = replace(SMALL, keep=(256,))
    batches = WorldBatches(whole, preprocess_of(ModelConfig.preset("tiny")), tokenizer)
    first, second = batches[0], batches[1]
    assert torch.equal(first.patches[2:], second.patches[:2])
    assert not torch.equal(first.patches[:2], second.patches[2:])


def test_photographs_of_hands_are_among_the_clips(tokenizer: Tokenizer, tmp_path: Path) -> None:
    paper = np.full((100, 100, 3), 225, np.uint8)
    rows = ["file,label,split"]
    for digit in range(10):
        photo = cv2.circle(paper.copy(), (50, 60), 15 + 2 * digit, (120, 150, 200), -1)
        cv2.imwrite(str(tmp_path / f"{digit}.png"), photo)
        rows.append(f"{digit}.png,{digit},train")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    pre = preprocess_of(ModelConfig.preset("tiny"))
    batch = WorldBatches(replace(SMALL, clips=32), pre, tokenizer, hands=tmp_path)[0]
    shown = (batch.truth[..., 0] > 8).any(dim=1)
    assert 1 <= int(shown.sum()) <= 16


def test_ranks_see_different_clips(tokenizer: Tokenizer) -> None:
    pre = preprocess_of(ModelConfig.preset("tiny"))
    one, two = (WorldBatches(SMALL, pre, tokenizer, rank=rank, ranks=2)[0] for rank in (0, 1))
    assert not torch.equal(one.keys, two.keys)


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_weights_as_an_unbroken_one(tmp_path: Path) -> None:
    whole = load_checkpoint(train(tmp_path / "whole", recipe=SMALL, workers=0, log_every=1))
    train(tmp_path / "parts", recipe=SMALL, workers=0, stop_after=2)
    parts = load_checkpoint(train(tmp_path / "parts", workers=0))
    for (name, one), other in zip(whole.model.state_dict().items(), parts.model.state_dict().values()):
        assert torch.equal(one, other), name
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert whole.preprocess.size == 96


def test_a_run_that_has_learned_something_refuses_another_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(SMALL.to_dict()))
    (tmp_path / "state.pt").touch()
    with pytest.raises(CheckpointError, match="lr differ"):
        train(tmp_path, recipe=replace(SMALL, lr=1.0))


def test_a_run_can_be_given_more_steps(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run to extend"):
        extend(tmp_path, 10)
    (tmp_path / "recipe.json").write_text(json.dumps(SMALL.to_dict()))
    assert extend(tmp_path, 10).steps == 10


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, 0.1), (9, 1.0), (39, 1.0), (40, 0.1), (49, 1.0), (70, 1.0), (85, 0.5), (99, 1 / 30)],
)
def test_the_rate_warms_up_twice_stays_and_falls(step: int, share: float) -> None:
    recipe = Recipe(steps=100, stage_zero=40, stage_one=50, warmup=10, decay=0.3)
    assert recipe.rate(step) == pytest.approx(share)


def test_the_last_steps_have_the_budgets_of_inference() -> None:
    recipe = replace(SMALL, steps=10, finish=0.2, finish_keep=(200,))
    rng = np.random.default_rng(0)
    assert [recipe.budget(step, rng) for step in range(10)] == [32] * 8 + [200] * 2


def test_in_stage_zero_the_x_encoder_learns_alone(tokenizer: Tokenizer) -> None:
    config = ModelConfig.preset("tiny")
    objective = Objective(VLJEPA(config), SMALL)
    batches = WorldBatches(SMALL, preprocess_of(config), tokenizer)

    def learners(step: int) -> set[str]:
        objective.zero_grad(set_to_none=True)
        torch.autograd.backward(objective(batches[step], step).total)
        model = objective.model.named_children()
        return {n for n, net in model if any(p.grad is not None for p in net.parameters())}

    assert learners(0) == {"x_encoder"}
    assert learners(1) == {"x_encoder", "predictor", "y_encoder", "y_decoder"}


def test_a_glimpse_is_one_instant_whose_movement_is_not_asked_for(tokenizer: Tokenizer) -> None:
    recipe = replace(SMALL, glimpses=1.0)
    batch = WorldBatches(recipe, preprocess_of(ModelConfig.preset("tiny")), tokenizer)[0]
    assert all(len(times.unique()) == 1 for times in batch.positions[..., 0])
    moving = [list(DENSE_CLASSES).index(name) for name in ("action", "direction")]
    assert (batch.truth[..., moving] == IGNORE).all()
    assert (batch.truth[..., 0] > 0).any()
    later = WorldBatches(recipe, preprocess_of(ModelConfig.preset("tiny")), tokenizer)[1]
    assert all(len(times.unique()) > 1 for times in later.positions[..., 0])


def test_whitening_makes_correlated_pixels_uncorrelated(tokenizer: Tokenizer) -> None:
    config = ModelConfig.preset("tiny")
    batches = WorldBatches(replace(SMALL, clips=32, keep=(96,)), preprocess_of(config), tokenizer)
    encoder = VLJEPA(config).x_encoder

    def spread() -> torch.Tensor:
        pixels = torch.cat([batches[step].patches.flatten(0, 1) for step in (0, 1)]).float()
        with torch.no_grad():
            seen = encoder.patch_embedding((pixels - encoder.mean) / encoder.std)
        return torch.linalg.eigvalsh(torch.cov(seen.T))

    before = spread()
    whiten(encoder, [batches[0], batches[1]])
    after = spread()
    assert before[-1] / before.median() > 100
    assert after[-1] == pytest.approx(SCALE**2, rel=0.01)
    assert after.median() > 0.5 * SCALE**2


def test_a_run_that_starts_from_a_model_keeps_its_sizes(tmp_path: Path) -> None:
    tiny = ModelConfig.preset("tiny")
    wider = replace(tiny, x_encoder=replace(tiny.x_encoder, heads=6))
    made = train(tmp_path, init=VLJEPA(wider), recipe=SMALL, workers=0, stop_after=1)
    assert load_checkpoint(made).config == wider


@pytest.mark.parametrize(
    "values",
    [
        {"typo": 1},
        {"stage_one": 99999},
        {"stage_zero": 1500, "stage_one": 1400},
        {"keep": [1], "keep_odds": [0.5]},
    ],
)
def test_a_wrong_recipe_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Recipe.from_dict(values)


@pytest.mark.parametrize(
    "texts", [["yes"], ["a red ball rolls to the left", "no", "yes", "no", "a hand", "yes"]]
)
def test_texts_embedded_apart_are_as_if_embedded_together(texts: list[str], tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    y_encoder = VLJEPA(ModelConfig.preset("tiny")).y_encoder
    ids, mask = encode_texts(tokenizer, texts)
    rows = []
    y_encoder.register_forward_hook(lambda module, args, out: rows.append(args[0].shape))
    together = y_encoder(ids, mask)
    rows.clear()
    apart = embed_texts(y_encoder, ids, mask)
    torch.testing.assert_close(apart, together, rtol=0, atol=1e-5)
    assert sum(shape[0] for shape in rows) == len(set(texts))
    if len(texts) > 1:
        assert rows[0][1] < ids.shape[1]


def test_dense_heads_reach_zero_only_for_the_truth() -> None:
    torch.manual_seed(0)
    heads = DenseHeads(12)
    truth = torch.tensor(np.array([[[0, -100, -100, -100, -100, -100], [3, 1, 0, 1, 4, 0]]]))
    visual = torch.eye(12)[None, :2]
    with torch.no_grad():
        heads.linear.weight.zero_()
        heads.linear.bias.zero_()
        offsets = np.cumsum([0, *heads.classes[:-1]])
        heads.linear.weight[offsets[0] + 0, 0] = 50
        for offset, label in zip(offsets, truth[0, 1]):
            heads.linear.weight[offset + label, 1] = 50
    assert heads(visual, truth).item() < 1e-3
    truth[0, 1, 0] = 4
    assert heads(visual, truth).item() > 1


@pytest.mark.slow
def test_two_processes_learn_what_both_saw(tmp_path: Path) -> None:
    """Under torchrun a step is the mean of two batches' gradients; one batch alone would have led elsewhere."""
    recipe = replace(Recipe(), steps=1, stage_zero=1, stage_one=1, clips=8, lessons=2, warmup=1)
    numbers = ("steps", "stage_zero", "stage_one", "clips", "lessons", "warmup")
    options = [word for n in numbers for word in (f"--{n.replace('_', '-')}", str(getattr(recipe, n)))]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", "vljepa_apps", "train", "--out", str(tmp_path), "--workers", "0", *options],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("wrote ") == 1  # the first process speaks for both
    about = load_checkpoint(tmp_path / "checkpoint").metadata
    assert (about["clips"], about["knows_only"]) == (16, "drawn shapes")

    pre, tokenizer = (
        preprocess_of(ModelConfig.preset("tiny")),
        Tokenizer.from_file(f"{tmp_path}/tokenizer.json"),
    )
    batches = [WorldBatches(recipe, pre, tokenizer, rank=rank, ranks=2) for rank in (0, 1)]

    def moments(ranks: tuple[int, ...]) -> torch.Tensor:
        torch.manual_seed(recipe.seed)
        objective = Objective(VLJEPA(ModelConfig.preset("tiny")), recipe)
        optimiser = optimiser_for(objective, recipe)
        whiten(objective.model.x_encoder, (batches[0][step] for step in range(WHITENING_STEPS)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = [objective(batches[rank][0], 0).total for rank in ranks]
        torch.autograd.backward(sum(losses) / len(losses))
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step(0)
        return first_moments(optimiser.state_dict())

    def first_moments(states: list[dict[str, Any]]) -> torch.Tensor:
        """After one step Adam's first moments are a tenth of the gradients."""
        return torch.cat([each["exp_avg"].flatten() for each in states[1]["state"].values()])

    trained = first_moments(torch.load(tmp_path / "state.pt", weights_only=True)["optimiser"])
    assert torch.cosine_similarity(trained, moments((0, 1)), dim=0) > 0.999
    assert torch.cosine_similarity(trained, moments((0,)), dim=0) < 0.95
