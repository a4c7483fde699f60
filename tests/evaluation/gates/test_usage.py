"""What users do is compared from frames to words; an edited manifest is told from a machine that draws otherwise."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vljepa_data.world import PROMPTS, vocabulary_texts, wordings
from vljepa_evaluation.gates import (
    Asked,
    Asking,
    FloatUsage,
    Footage,
    GateResults,
    Reference,
    Scenes,
    Usage,
    Verdict,
    ask_all,
    behaviour,
    check_gates,
    compare_usages,
    draw_footage,
    record_behaviour,
    record_reference,
    record_usage,
)
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, Manifest, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.model import Model

FEW = Scenes(clips=1, seconds=3.0)
ASKED = Asked(
    tasks=("caption", "classify"),
    askings=(Asking(questions=wordings("presence")[:2], answers=("yes", "no")),),
    captions=("a large white star is stacked on a black ring",),
    labels=("a white star is stacked", "a black ball turns"),
    keep=128,
)


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    return Bundle.open("tiny")


@pytest.fixture(scope="module")
def piece() -> Footage:
    """The first seconds of what a reference carries."""
    footage = draw_footage()[0]
    return Footage(frames=footage.frames[:14], times_s=footage.times_s[:15])


@pytest.fixture(scope="module")
def reference(tiny: Bundle, piece: Footage) -> Reference:
    """The shipped bundle as its own float model, sealed."""
    engine = open_engine("onnxruntime:cpu")
    model = Model(tiny, engine)
    usage = FloatUsage(footage=(piece,), asked=ASKED, usage=record_usage(model, [piece], ASKED, FEW))
    graphs = record_reference(tiny, engine)
    seen = record_behaviour(model, model.preprocess, FEW)
    return replace(graphs, scenes=FEW, behaviour=seen, usage=usage)


def judged(bundle: Bundle, reference: Reference) -> GateResults:
    return check_gates(bundle, open_engine("onnxruntime:cpu"), reference, limits=limits_for)


def edited(path: Path, tiny: Bundle, manifest: Manifest, **files: bytes) -> Bundle:
    kept: dict[str, bytes | Path] = {name: tiny.read(name) for name in tiny.manifest.files}
    return write_bundle(path, manifest, {**kept, **files}, archive=False)


def missed(results: GateResults) -> str:
    return "; ".join(miss for each in results.judgements for miss in each.misses)


def test_a_bundle_does_what_it_did_and_the_reference_survives_the_disk(
    tiny: Bundle, reference: Reference
) -> None:
    again = Reference.from_bytes(reference.to_bytes())
    assert again.to_bytes() == reference.to_bytes()
    results = judged(tiny, again)
    assert results.verdict is Verdict.KEPT
    assert results.usage is not None
    exact = ("windows", "pictures", "answers", "segments", "changes", "worded", "spoken")
    assert all(getattr(results.usage, name) == 1.0 for name in exact)
    assert results.usage.footage_worst == pytest.approx(1.0, abs=1e-6)


def test_it_goes_through_the_session_with_the_footages_own_times(
    reference: Reference, piece: Footage
) -> None:
    assert reference.usage is not None
    usage = reference.usage.usage
    height, width = piece.frames.shape[1:3]
    assert height != width
    assert height % 2 == width % 2 == 1
    assert len(set(np.diff(piece.times_s).round(3))) > 1
    assert usage.windows_s[0].tolist() == [0.083, 2.083]
    assert usage.embeddings.shape[:2] == (len(usage.windows_s), 2)
    assert len(usage.kept) == len(usage.windows_s)
    assert len(usage.spoken) == len(usage.worded) == 2 * len(usage.windows_s)


def swapped(values: dict[str, str]) -> dict[str, str]:
    return {**values, "caption": values["classify"], "classify": values["caption"]}


FAULTS: dict[str, Callable[[Manifest], Manifest]] = {
    "fps-2": lambda each: replace(each, preprocess=replace(each.preprocess, fps=2.0)),
    "fps-8": lambda each: replace(each, preprocess=replace(each.preprocess, fps=8.0)),
    "stretch": lambda each: replace(each, preprocess=replace(each.preprocess, resize="stretch")),
    "pad": lambda each: replace(each, preprocess=replace(each.preprocess, resize="pad")),
    "floor-picks": lambda each: replace(each, preprocess=replace(each.preprocess, picks="floor")),
    "prompts": lambda each: replace(each, prompts=swapped(dict(each.prompts))),
    "a-prompt-less": lambda each: replace(each, prompts={"caption": each.prompts["caption"]}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_edit_of_the_manifest_is_a_fault_wherever_it_runs(
    fault: str, tiny: Bundle, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is not sealed here, and the scenes are drawn otherwise: what users would see shows it."""
    draw_otherwise(monkeypatch)
    results = judged(edited(tmp_path / "edited", tiny, FAULTS[fault](tiny.manifest)), reference)
    assert results.verdict is Verdict.MISSED
    wanted = {"prompts": "worst embedding cosine", "a-prompt-less": "expected a prompt for classify"}
    assert wanted.get(fault, "bundle.json says otherwise how frames become windows") in missed(results)


def test_what_no_engine_uses_is_held_by_the_seal(tiny: Bundle, reference: Reference, tmp_path: Path) -> None:
    pre = tiny.manifest.preprocess
    manifest = replace(tiny.manifest, preprocess=replace(pre, mean=pre.std, std=pre.mean))
    results = judged(edited(tmp_path / "edited", tiny, manifest), reference.sealed(tiny.manifest))
    assert results.verdict is Verdict.MISSED
    assert "preprocess.mean, preprocess.std" in missed(results)


def draw_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another version of OpenCV may: one level in one pixel of each clip."""
    make_clip = behaviour.make_clip

    def drawn(*args: object, **options: object) -> object:
        clip = make_clip(*args, **options)  # type: ignore[arg-type]
        frames = clip.frames.copy()
        frames[0, 0, 0, 0] ^= 1
        return replace(clip, frames=frames)

    monkeypatch.setattr(behaviour, "make_clip", drawn)


def test_a_machine_that_draws_otherwise_judges_on_the_recorded_footage(
    tiny: Bundle, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_otherwise(monkeypatch)
    results = judged(tiny, reference)
    assert results.verdict is Verdict.KEPT
    assert results.agreement is None
    assert results.usage is not None
    assert "recorded footage alone" in results.note
    older = judged(tiny, replace(reference, usage=None))
    assert older.verdict is Verdict.NOT_JUDGED
    assert not older.passed
    assert "other pixels" in older.judgements[0].unjudged[0]


def test_exchanged_words_show_in_the_texts(tiny: Bundle, reference: Reference, tmp_path: Path) -> None:
    name = tiny.manifest.tokenizers["y_encoder"]
    tokenizer = json.loads(tiny.read(name))
    words = tokenizer["model"]["vocab"]
    yes, no = (next(word for word in words if word.strip("Ġ▁ ") == each) for each in ("yes", "no"))
    words[yes], words[no] = words[no], words[yes]
    bundle = edited(tmp_path / "edited", tiny, tiny.manifest, **{name: json.dumps(tokenizer).encode()})
    results = judged(bundle, reference)
    assert "worst embedding cosine of a text" in missed(results)


def test_every_word_of_the_world_is_asked_or_embedded() -> None:
    asked = ask_all(PROMPTS)
    questions = [question for asking in asked.askings for question in asking.questions]
    words = {word.strip("?,.") for text in (*asked.texts, *questions) for word in text.split()}
    told = {word.strip(",") for text in vocabulary_texts() for word in text.split()}
    around = {"we", "see", "how", "in", "this", "video"}  # a caption in training; no task asks for them
    hands = {"a", "and", "digit", "for", "hand", "makes", "showing", "shows", "sign", "the", "then"}
    assert told - words <= around | hands
    assert {"yes", "no", "nine", "four"} <= words


@pytest.mark.parametrize("shape", [(2, 3, 5, 3), (1, 7, 9, 3)], ids=str)
def test_pixels_come_back_as_they_were(shape: tuple[int, ...]) -> None:
    kept = np.random.default_rng(0).integers(0, 32, shape).astype(np.uint8)
    frames = np.asarray(kept << 3 | kept >> 2, np.uint8)
    made = Footage(frames=frames, times_s=np.arange(len(frames) + 1.0))
    assert np.array_equal(Footage.unpacked(made.packed(), shape, made.times_s).frames, frames)


@pytest.mark.parametrize(
    ("data", "shape", "match"),
    [
        pytest.param(b"nothing", (1, 2, 2, 3), "deflated", id="not-deflated"),
        pytest.param(zlib.compress(bytes(1 << 24)), (1, 2, 2, 3), "expected 12 bytes", id="too-many"),
        pytest.param(zlib.compress(bytes(3)), (1, 2, 2, 3), "expected 12 bytes", id="too-few"),
        pytest.param(zlib.compress(bytes(12)), (1 << 40, 1 << 40, 2, 3), "recording", id="giant"),
        pytest.param(zlib.compress(bytes(16)), (1, 2, 2, 4), "recording", id="four-channels"),
    ],
)
def test_hostile_footage_is_refused(data: bytes, shape: tuple[int, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Footage.unpacked(np.frombuffer(data, np.uint8), shape, np.arange(2.0))


def test_a_hostile_use_is_refused(reference: Reference) -> None:
    assert reference.usage is not None
    usage = reference.usage.usage
    with pytest.raises(InputError, match="axes"):
        replace(usage, kept=usage.embeddings)
    with pytest.raises(InputError, match="labels"):
        replace(usage, changes=(*usage.changes, "one more"))
    broken = reference.to_bytes().replace(b'\\"segments_s\\"', b'\\"segments_x\\"')
    with pytest.raises(BundleError, match="not a reference of this version"):
        Reference.from_bytes(broken)


def test_one_with_other_embeddings_is_told(reference: Reference) -> None:
    assert reference.usage is not None
    usage: Usage = reference.usage.usage
    with pytest.raises(InputError, match="another model"):
        compare_usages(usage, replace(usage, questions=usage.questions[:, :8]))
    with pytest.raises(InputError, match="lost its Y-decoder"):
        compare_usages(usage, replace(usage, spoken=(), worded=()))
