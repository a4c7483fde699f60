"""Fine-tuning on real files: it learns, it goes on after a kill, and neither cache nor processes alter what it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from vljepa_data.annotations import Example, Segment, read_annotations, read_segment
from vljepa_model.assembly import assemble, write_checkpoint
from vljepa_model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vljepa_model.config import TextStackConfig
from vljepa_model.errors import CheckpointError, ConfigError
from vljepa_model.finetuning.held_out import WordResults, measure_held_out
from vljepa_model.finetuning.recipe import FineTuneRecipe, Only
from vljepa_model.finetuning.texts import Tokenizers, tokenise
from vljepa_model.finetuning.trainer import CacheOptions, FineTuneProgress, finetune
from vljepa_model.vl_jepa import VLJEPA
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing.patches import patchify

SHORT = FineTuneRecipe(steps=6, batch=4, lr=1e-2, warmup=1, precision="fp32")
OPTIONS = ["--steps", "6", "--batch", "4", "--lr", "0.01", "--warmup", "1", "--precision", "fp32"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same(one: Path, other: Path, *, atol: float = 0.0) -> None:
    first, second = weights(one), weights(other)
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], atol=atol, rtol=0, msg=name)


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["contrastive"] for line in lines]


def command(small: Path, films: Path, out: Path, *more: str) -> list[str]:
    return [
        "-m",
        "vljepa_apps",
        "train",
        "--init",
        str(small),
        "--data",
        str(films),
        "--out",
        str(out),
        *OPTIONS,
        *more,
    ]


@pytest.fixture(scope="module")
def unbroken(small: Path, films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a whole run."""
    out = tmp_path_factory.mktemp("unbroken")
    return finetune(out, load_checkpoint(small), read_annotations(films), SHORT, log_every=1)


def test_only_what_should_learn_changes(small: Path, unbroken: Path) -> None:
    before, after = weights(small), weights(unbroken)
    changed = {
        name.split(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name].half())
    }
    assert changed == {"predictor", "y_encoder", "y_decoder", "log_temperature"}


def test_a_cache_gives_the_same_losses_and_weights(
    small: Path, films: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, cache = read_annotations(films), CacheOptions(folder=unbroken.parent / "features")
    assert len(list(cache.folder.rglob("*.npy"))) == 12  # a run keeps its own
    none = CacheOptions(folder=tmp_path / "none", limit_bytes=0)
    without = finetune(tmp_path / "a", load_checkpoint(small), examples, SHORT, cache=none, log_every=1)
    assert list(none.folder.rglob("*.npy")) == []

    def fail(*_: object) -> None:
        raise AssertionError("a cached clip was decoded again")

    monkeypatch.setattr("vljepa_model.finetuning.batches.read_segment", fail)
    reading = finetune(tmp_path / "b", load_checkpoint(small), examples, SHORT, cache=cache, log_every=1)
    assert losses(tmp_path / "a") == pytest.approx(losses(unbroken.parent), abs=1e-4)
    assert losses(tmp_path / "b") == pytest.approx(losses(unbroken.parent), abs=1e-4)
    assert_same(without, unbroken, atol=2e-3)
    assert_same(reading, unbroken, atol=2e-3)


def test_a_stopped_run_ends_with_the_very_weights_of_an_unbroken_one(
    small: Path, films: Path, unbroken: Path, tmp_path: Path
) -> None:
    examples = read_annotations(films)
    finetune(tmp_path, load_checkpoint(small), examples, SHORT, stop_after=4, log_every=1)
    assert_same(finetune(tmp_path, load_checkpoint(small), examples, log_every=1), unbroken)
    assert losses(tmp_path) == losses(unbroken.parent)


@pytest.mark.slow
def test_a_killed_process_is_continued_to_the_same_end(
    small: Path, films: Path, unbroken: Path, tmp_path: Path
) -> None:
    run = [sys.executable, *command(small, films, tmp_path, "--workers", "0", "--save-every", "1")]
    process = subprocess.Popen(run, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "state.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (tmp_path / "state.pt.part").write_bytes(b"half a state")  # whatever a kill may leave
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 900, "contrastive": 0.0}\n{"step": 9')
    done = finetune(tmp_path, load_checkpoint(small), read_annotations(films), log_every=1)
    assert_same(done, unbroken)
    assert 0.0 not in losses(tmp_path)


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(small: Path, films: Path, tmp_path: Path) -> None:
    finetune(
        tmp_path / "one", load_checkpoint(small), read_annotations(films), SHORT, stop_after=1, log_every=1
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = [*torchrun, *command(small, films, tmp_path / "two", "--workers", "0", "--stop-after", "1")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (
        torch.load(tmp_path / name / "state.pt")["optimiser"][0]["state"].values() for name in ("one", "two")
    )
    assert len(one) == len(two) > 20
    for mine, shared in zip(one, two):  # after one step Adam's first moment is a tenth of the gradient
        assert float(mine["exp_avg"].abs().max()) > 0
        torch.testing.assert_close(shared["exp_avg"], mine["exp_avg"], atol=1e-6, rtol=1e-4)


def test_bf16_and_gradient_checkpointing_change_little(
    small: Path, films: Path, unbroken: Path, tmp_path: Path
) -> None:
    examples = read_annotations(films)
    saving = replace(SHORT, gradient_checkpointing=True)
    finetune(tmp_path / "saving", load_checkpoint(small), examples, saving, log_every=1)
    assert losses(tmp_path / "saving") == pytest.approx(losses(unbroken.parent), abs=1e-4)
    half = replace(SHORT, precision="bf16")
    finetune(tmp_path / "half", load_checkpoint(small), examples, half, log_every=1)
    assert losses(tmp_path / "half") == pytest.approx(losses(unbroken.parent), rel=0.05)


def test_a_decoder_alone_learns_from_texts_without_any_video(small: Path, tmp_path: Path) -> None:
    texts = [f"a {colour} {shape} rolls" for colour in ("red", "blue", "green") for shape in ("ball", "box")]
    examples = [Example(segment=Segment(Path("nowhere.mp4")), text=text) for text in texts]
    recipe = FineTuneRecipe(only=Only.DECODER, steps=40, batch=6, lr=1e-2, warmup=1, precision="fp32")
    seen: list[FineTuneProgress] = []
    start = replace(load_checkpoint(small), metadata={"knows_only": "drawn shapes"})
    written = finetune(tmp_path, start, examples, recipe, on_progress=seen.append)
    assert load_checkpoint(written).metadata["knows_only"] == "drawn shapes"  # it has seen nothing since
    assert seen[-1].decoder < 0.5 * seen[0].decoder
    before, after = weights(small), weights(written)
    changed = {
        name.split(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name].half())
    }
    assert changed == {"y_decoder"}


def test_what_has_seen_more_knows_more_than_its_first_training(
    small: Path, films: Path, tmp_path: Path
) -> None:
    start = replace(load_checkpoint(small), metadata={"knows_only": "drawn shapes"})
    written = finetune(tmp_path, start, read_annotations(films), SHORT, stop_after=1)
    assert load_checkpoint(written).metadata["knows_only"] == ""


def test_a_text_without_a_query_answers_what_the_model_asks_by_itself(
    small: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()

    def spy(tokenizer: object, texts: list[str], limit: int) -> object:
        asked.update(text for text in texts if text.endswith(("?", ".")))
        return tokenise(tokenizer, texts, limit)  # type: ignore[arg-type]

    monkeypatch.setattr("vljepa_model.finetuning.batches.tokenise", spy)
    mine = {"caption": "What is there.", "classify": "Which is it?", "retrieval": "Which one."}
    start = replace(load_checkpoint(small), prompts=mine)
    examples = [replace(example, query="") for example in read_annotations(films)]
    finetune(tmp_path / "mine", start, examples, SHORT)
    assert asked == {"What is there.", "Which is it?"}
    asked.clear()
    finetune(tmp_path / "own", start, [replace(e, query="Why?") for e in examples], SHORT, stop_after=1)
    assert asked == {"Why?"}


def test_a_run_that_was_killed_before_its_first_state_may_be_corrected(
    small: Path, films: Path, tmp_path: Path
) -> None:
    examples, gone = read_annotations(films), Example(segment=Segment(tmp_path / "gone.mp4"), text="a dog")
    told: list[int] = []

    def begin(examples: list[Example], recipe: FineTuneRecipe | None) -> None:
        finetune(
            tmp_path / "run", load_checkpoint(small), examples, recipe, stop_after=1, save_every=1,
            on_skipped=lambda unusable: told.append(len(unusable)),
        )  # fmt: skip

    begin([*examples, gone], SHORT)
    (tmp_path / "run" / "state.pt").unlink()
    begin([*examples, gone], None)  # the same again, by its folder
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert FineTuneRecipe.from_dict(settings) == SHORT
    (tmp_path / "run" / "state.pt").unlink()
    begin(examples, replace(SHORT, steps=9))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["steps"] == 9
    assert told == [1, 1, 0]
    with pytest.raises(CheckpointError, match=r"another recipe \(steps differ\)"):
        begin(examples, SHORT)  # there is a state now


def test_a_model_of_assembled_parts_is_fine_tuned_with_a_tokenizer_per_network(
    public: ModuleType, films: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("vision", "llama", "gemma")]
    for folder, write in zip(folders, (public.write_vision, public.write_llama, public.write_gemma)):
        folder.mkdir()
        write(folder)
    vision, llama, gemma = folders
    parts = assemble(
        vision=vision, llama=llama, gemma=gemma, decoder=llama, layers=2, embedding_dim=16, frames=4
    )
    start = write_checkpoint(parts, tmp_path / "start")
    recipe = replace(
        SHORT, steps=30, lr=3e-3, y_encoder_lr=1.0, gradient_checkpointing=True, precision="bf16"
    )
    finetune(tmp_path / "run", load_checkpoint(start), read_annotations(films), recipe, log_every=1)
    after = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert set(after.tokenizers) == {"predictor", "y_encoder", "y_decoder"}
    contrastive = losses(tmp_path / "run")
    assert sum(contrastive[-5:]) < 0.9 * sum(contrastive[:5])
    alone = assemble(vision=vision, llama=llama, gemma=gemma, layers=2, embedding_dim=16, frames=4)
    without_decoder = load_checkpoint(write_checkpoint(alone, tmp_path / "without_decoder"))
    with pytest.raises(ConfigError, match="no Y-decoder to train: pass --only alignment"):
        finetune(tmp_path / "no", without_decoder, read_annotations(films), SHORT)
    finetune(
        tmp_path / "yes",
        without_decoder,
        read_annotations(films),
        replace(SHORT, only=Only.ALIGNMENT, steps=1),
    )


def with_trained_x_encoder(films: Path, folder: Path) -> Checkpoint:
    """The shipped X-encoder with a small predictor and Y-encoder that know nothing."""
    import vljepa_model

    shipped = load_checkpoint(Path(vljepa_model.__file__).parent / "checkpoints" / "tiny")
    stack = TextStackConfig(width=64, depth=1, heads=2, kv_heads=2, mlp=128)
    torch.manual_seed(0)
    model = VLJEPA(replace(shipped.config, predictor=stack, y_encoder=stack, embedding_dim=64))
    model.x_encoder.load_state_dict(shipped.model.x_encoder.state_dict())
    return load_checkpoint(save_checkpoint(model, folder, tokenizer_file=shipped.tokenizer_file))


LEARN = FineTuneRecipe(steps=60, batch=32, lr=3e-3, y_encoder_lr=1.0, warmup=5, only=Only.ALIGNMENT)


@pytest.mark.slow
def test_it_learns_to_find_videos_that_it_never_saw(film_set: Callable[..., Path], tmp_path: Path) -> None:
    films = film_set(96, size=96, held_out=32)
    start = with_trained_x_encoder(films, tmp_path / "start")
    kept = read_annotations(films, split="val")
    before = measure_held_out(start, kept)
    cache = CacheOptions(folder=tmp_path / "cache")
    written = finetune(tmp_path / "run", start, read_annotations(films, split="train"), LEARN, cache=cache)
    after = measure_held_out(load_checkpoint(written), kept)
    first, *_, last = losses(tmp_path / "run")
    assert last < 0.6 * first
    assert before.recall_at_5 < 0.3
    assert after.recall_at_1 > 4 * after.recall_chance
    assert after.recall_at_5 > 2 * before.recall_at_5


@pytest.mark.slow
def test_it_learns_words_of_sign_language_from_real_footage(shared_data: Path, tmp_path: Path) -> None:
    clips = sorted((shared_data / "clips" / "intel").glob("*.mkv"))
    examples = [Example(segment=Segment(clip), text=f"a person signs {clip.stem}") for clip in clips]
    recipe = replace(LEARN, steps=30, batch=len(clips))
    start = with_trained_x_encoder(clips[0], tmp_path / "start")
    before = measure_held_out(start, examples)
    written = finetune(
        tmp_path / "run", start, examples, recipe, cache=CacheOptions(folder=tmp_path / "cache")
    )
    after = measure_held_out(load_checkpoint(written), examples)
    assert losses(tmp_path / "run")[-1] < 0.7 * losses(tmp_path / "run")[0]
    assert after.recall_at_1 > max(before.recall_at_1, 3 * after.recall_chance)


def test_missing_videos_are_skipped_once_and_counted(small: Path, films: Path, tmp_path: Path) -> None:
    broken = films.with_name("broken.mp4")
    broken.write_bytes(b"no video at all")
    examples = read_annotations(films)
    more = [Example(segment=Segment(path), text="x") for path in (broken, films.with_name("absent.mp4"))]
    reasons: list[str] = []
    finetune(
        tmp_path / "a", load_checkpoint(small), [*examples, *more], replace(SHORT, steps=1),
        on_skipped=lambda unusable: reasons.extend(bad.reason for bad in unusable),
    )  # fmt: skip
    assert len(reasons) == 2
    lines = [json.loads(line) for line in (tmp_path / "a" / "skipped.jsonl").read_text().splitlines()]
    assert [Path(line["segment"]).name for line in lines] == ["broken.mp4", "absent.mp4"]
    with pytest.raises(SourceError, match=r"2 of 14 clips cannot be read, first .*broken\.mp4: cannot read"):
        finetune(tmp_path / "b", load_checkpoint(small), [*examples, *more], SHORT, strict=True)
    with pytest.raises(SourceError, match="2 of 2 clips cannot be read"):
        finetune(tmp_path / "c", load_checkpoint(small), more, replace(SHORT, batch=2))


@pytest.mark.parametrize("recipe", [{"only": "decoder"}, {"train_x_encoder": True}], ids=str)
def test_a_cache_without_frozen_features_is_refused(
    recipe: dict[str, object], small: Path, films: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="features of videos by a frozen X-encoder"):
        finetune(
            tmp_path / "run", load_checkpoint(small), read_annotations(films),
            FineTuneRecipe(batch=4, **recipe), cache=CacheOptions(folder=tmp_path / "cache"),  # type: ignore[arg-type]
        )  # fmt: skip


def test_choices_are_counted_by_hand(small: Path, films: Path) -> None:
    texts = ("a red ball", "a blue box", "a green star")
    examples = [
        Example(segment=example.segment, query=example.query, text=texts[i % 3], candidates=texts)
        for i, example in enumerate(read_annotations(films)[::2])
    ]
    found = measure_held_out(load_checkpoint(small), examples)
    choice = found.choice
    assert choice is not None
    assert (choice.queries, choice.chance, choice.blind) == (12, pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found.clips == 3
    checkpoint, right = load_checkpoint(small), 0
    tokenizers = Tokenizers.of(checkpoint)
    with torch.inference_mode():
        names = checkpoint.model.y_encoder(*tokenise(tokenizers.text, texts, 16))
        for example in examples:
            clip = read_segment(example.segment, checkpoint.preprocess)
            patches, positions = (torch.from_numpy(x)[None] for x in patchify(clip))
            query = tokenise(tokenizers.query, [example.query], 64)
            predicted = checkpoint.model.predictor(checkpoint.model.x_encoder(patches, positions), *query)
            right += texts[int((names @ predicted[0]).argmax())] == example.text
    assert choice.right == right / 12
    without = [replace(example, candidates=()) for example in examples]
    assert measure_held_out(load_checkpoint(small), without).choice == choice
    gone = [replace(example, segment=Segment(Path("gone.mp4"))) for example in examples]
    with pytest.raises(ConfigError, match="none of 1 can"):
        measure_held_out(checkpoint, gone)


def test_a_folder_with_another_run_is_refused(
    small: Path, films: Path, unbroken: Path, tmp_path: Path
) -> None:
    examples, run = read_annotations(films), unbroken.parent
    with pytest.raises(CheckpointError, match=r"another recipe \(lr differ\)"):
        finetune(run, load_checkpoint(small), examples, replace(SHORT, lr=1.0))
    with pytest.raises(CheckpointError, match="another data: choose another folder"):
        finetune(run, load_checkpoint(small), examples[1:], SHORT)
    with pytest.raises(CheckpointError, match="another checkpoint: choose another folder"):
        finetune(run, load_checkpoint(unbroken), examples, SHORT)
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(CheckpointError, match="another kind of run"):
        finetune(tmp_path, load_checkpoint(small), examples, SHORT)


def test_nothing_is_written_before_recipe_and_data_go_together(
    small: Path, films: Path, tmp_path: Path
) -> None:
    examples, run = read_annotations(films), tmp_path / "new"
    with pytest.raises(ConfigError, match="a batch of 99 needs as many clips, got 12"):
        finetune(run, load_checkpoint(small), examples, replace(SHORT, batch=99))
    assert not run.exists()
    finetune(run, load_checkpoint(small), examples, replace(SHORT, batch=12, steps=1))


def test_a_batch_is_as_large_as_few_clips_allow_and_a_run_keeps_it(
    small: Path, films: Path, tmp_path: Path
) -> None:
    examples, recipe = read_annotations(films), replace(SHORT, batch=None, steps=2)
    finetune(tmp_path / "own", load_checkpoint(small), examples, recipe, stop_after=1)
    assert json.loads((tmp_path / "own" / "run.json").read_text())["recipe"]["batch"] == 12
    written = finetune(tmp_path / "own", load_checkpoint(small), examples, recipe)
    metadata = load_checkpoint(written).metadata
    assert (metadata["name"], metadata["finetuned"]["step"]) == ("own", 2)


@pytest.mark.parametrize(
    ("clips", "processes", "batch"), [(20, 1, 20), (500, 1, 32), (21, 2, 20), (500, 3, 30)]
)
def test_a_default_batch_is_shared_out_evenly(clips: int, processes: int, batch: int) -> None:
    assert FineTuneRecipe().for_clips(clips, processes=processes).rows == batch


@pytest.mark.parametrize(("batch", "processes"), [(None, 4), (3, 2)], ids=str)
def test_a_batch_that_cannot_be_shared_out_is_refused(batch: int | None, processes: int) -> None:
    with pytest.raises(ConfigError, match=r"needs as many clips, got 3|cannot be shared out evenly"):
        FineTuneRecipe(batch=batch).for_clips(3, processes=processes)


def test_words_are_measured_against_one_text_said_of_all(
    small: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = [
        Example(segment=example.segment, text="a red ball" if i < 6 else "a blue box")
        for i, example in enumerate(read_annotations(films)[::2])
    ]

    def measured(*said: str) -> WordResults:
        monkeypatch.setattr("vljepa_model.finetuning.held_out._Embedder.words", lambda *_: list(said))
        found = measure_held_out(load_checkpoint(small), examples).words
        assert found is not None
        return found

    constant = measured(*["a red ball"] * 12)
    assert (constant.exact, constant.learned) == (0.5, False)
    assert constant.f1 == pytest.approx(constant.blind)
    assert constant.blind == pytest.approx(0.5 + 0.5 / 3)
    right = measured(*["A red ball"] * 6, *["a blue box"] * 6)
    assert (right.f1, right.exact, right.learned, right.clips) == (1.0, 1.0, True, 12)
    few = measured(*["a red ball"] * 6, *["a blue box"] * 3, *["a red ball"] * 3)
    assert few.f1 > few.blind
    assert not few.learned  # right where one text is wrong three times: a coin does that in one of eight runs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"typo": 1}, "unknown keys typo"),
        ({"only": "x_encoder"}, "only: expected all or alignment or decoder, got 'x_encoder'"),
        ({"precision": "fp8"}, "precision: expected auto or bf16 or fp32"),
        ({"steps": 0}, "steps: expected a whole number above 0, got 0"),
        ({"only": "decoder", "train_x_encoder": True}, "without videos"),
    ],
)
def test_a_wrong_recipe_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FineTuneRecipe.from_dict(values)


def test_a_recipe_survives_json() -> None:
    recipe = FineTuneRecipe(only="decoder", batch=7)
    assert FineTuneRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(("step", "share"), [(0, 0.1), (9, 1.0), (10, 1.0), (55, 0.55), (100, 0.1)])
def test_the_rate_warms_up_and_follows_a_cosine(step: int, share: float) -> None:
    assert FineTuneRecipe(steps=100, warmup=10, final_lr=0.1).rate(step) == pytest.approx(share)
