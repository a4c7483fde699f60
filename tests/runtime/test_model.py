"""The model's verbs, against plain NumPy on the same weights' outputs where there is one."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.preprocessing.patches import fit_frames


def test_embed_gives_a_unit_vector(model: vj.Model, clip: np.ndarray) -> None:
    embedding = model.embed(clip)
    assert embedding.shape == (8,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(embedding, model.embed(clip, query=model.prompts["caption"]))
    assert not np.allclose(embedding, model.embed(clip, query="what is red ?"))


def test_encode_once_then_predict_equals_embed(model: vj.Model, clip: np.ndarray) -> None:
    visual = model.encode(clip)
    assert visual.shape == (8, 8)
    assert np.array_equal(model.predict(visual, "what is there ?"), model.embed(clip, "what is there ?"))


def test_a_batch_gives_what_its_windows_give(model: vj.Model, clip: np.ndarray) -> None:
    clips = [clip, clip[::-1], 255 - clip]
    patches, positions = (np.stack(each) for each in zip(*map(model.patches, clips)))
    rows = model.predict_batch(model.encode_batch(patches, positions), "what is there ?")
    assert rows.shape == (3, 8)
    assert rows == pytest.approx(np.stack([model.embed(each, "what is there ?") for each in clips]), abs=1e-5)
    assert not np.allclose(rows[0], rows[2], atol=1e-3)


@pytest.mark.parametrize("shape", [(20, 30, 3), (1, 5, 5, 3), (4, 12, 12, 3), (31, 40, 10, 3)], ids=str)
def test_frames_of_any_size_and_count(model: vj.Model, shape: tuple[int, ...]) -> None:
    frames = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    fitted = fit_frames(frames, model.preprocess)
    assert np.array_equal(model.embed(frames), model.embed(fitted))


@pytest.mark.parametrize("budget", [1, 5, 8])
def test_tokens_can_be_left_out(model: vj.Model, clip: np.ndarray, budget: int) -> None:
    tokens = vj.SalientTokens(budget)
    assert model.encode(clip, tokens=tokens).shape == (budget, 8)
    if budget == 8:
        assert np.allclose(model.encode(clip, tokens=tokens), model.encode(clip))


@pytest.mark.parametrize(
    ("budgets", "counts"), [((4, 8), (4, 8, 8)), ((5, 7, 8), (5, 7, 8)), ((), (2, 6, 8))]
)
def test_counts_are_met_that_a_bundle_was_built_for(
    small_folder: Path, clip: np.ndarray, budgets: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    manifest = vj.Bundle.open(small_folder).manifest
    encoder = replace(manifest.graphs["x_encoder"], token_budgets=budgets)
    manifest = replace(manifest, graphs={**manifest.graphs, "x_encoder": encoder})
    files = {name: (small_folder / name).read_bytes() for name in manifest.files}
    vj.write_bundle(small_folder, manifest, files, archive=False, force=True)
    built = vj.load(small_folder, engine="onnxruntime:cpu", threads=1)
    for tokens, count in zip(("budget:2", "budget:6", "all"), counts, strict=True):
        assert built.encode(clip, tokens=tokens).shape == (count, 8)


def test_classify_ranks_by_cosine(model: vj.Model, clip: np.ndarray) -> None:
    labels = ["a red ball", "the blue box", "green", "three"]
    ranked = model.classify(clip, labels)
    cosines = model.embed_text(labels) @ model.embed(clip, model.prompts["classify"])
    assert [scored.label for scored in ranked] == [labels[i] for i in np.argsort(-cosines)]
    assert [scored.score for scored in ranked] == pytest.approx(
        sorted(cosines.tolist(), reverse=True), abs=1e-6
    )


def test_a_source_is_read_as_the_model_takes_it(
    model: vj.Model, tmp_path: Path, lossless: ModuleType
) -> None:
    path = tmp_path / "clip.mkv"
    lossless.write_lossless(path, lossless.numbered(20), np.arange(20) / 7)
    clip = model.read_clip(path)
    assert np.array_equal(clip.frames, vj.read_clip(path, model.preprocess).frames)
    part = {"start_s": 0.5, "seconds": 1.0}
    assert np.array_equal(
        model.read_clip(path, **part).frames, vj.read_clip(path, model.preprocess, **part).frames
    )
    for given in (path, str(path)):
        assert np.array_equal(model.embed(given, "what is red ?"), model.embed(clip, "what is red ?"))
        assert model.classify(given, ["red", "blue"]) == model.classify(clip, ["red", "blue"])
        assert model.answer(given, "what is red ?", ["ball"]) == model.answer(clip, "what is red ?", ["ball"])
        assert np.array_equal(model.encode(given), model.encode(clip))
    with pytest.raises(vj.SourceError, match=r"no such file: clip\.mp5"):
        model.embed("clip.mp5")


def test_a_clip_without_a_model_is_what_the_model_that_gets_it_reads(
    model: vj.Model, tmp_path: Path, lossless: ModuleType
) -> None:
    path, part = tmp_path / "clip.mkv", {"start_s": 0.5, "seconds": 1.0}
    lossless.write_lossless(path, lossless.numbered(20), np.arange(20) / 7)
    expected = model.read_clip(path, **part)
    clip = vj.read_clip(path, **part)
    assert repr(clip) == f"<UnreadClip of {path}: the model that gets it says which frames are taken>"
    assert model.classify(clip, ["red", "blue"]) == model.classify(expected, ["red", "blue"])
    other = replace(model.preprocess, frames=2)
    assert np.array_equal(clip.read(other).frames, vj.read_clip(path, other, **part).frames)
    path.unlink()  # what was read once stays the same
    assert np.array_equal(model.encode(clip), model.encode(expected))
    with pytest.raises(vj.SourceError, match="no such file"):
        vj.read_clip(path)


def test_an_open_source_may_be_an_unread_clip(model: vj.Model, tmp_path: Path, lossless: ModuleType) -> None:
    path = tmp_path / "clip.mkv"
    lossless.write_lossless(path, lossless.numbered(20), np.arange(20) / 7)
    clip = vj.read_clip(vj.open_source(path))
    for _ in range(2):
        assert np.array_equal(model.encode(clip), model.encode(path))


def test_threads_that_share_an_unread_clip_read_it_once(model: vj.Model) -> None:
    reads: list[vj.Clip] = []

    def read(pre: vj.Preprocess) -> vj.Clip:
        reads.append(fit_frames(np.zeros((4, 12, 12, 3), np.uint8), pre))
        return reads[-1]

    clip = vj.UnreadClip("made up", read)
    threads = [threading.Thread(target=model.encode, args=(clip,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1


def test_what_is_no_preprocessing_reads_no_clip(model: vj.Model, tmp_path: Path) -> None:
    with pytest.raises(vj.InputError, match=r"write model\.read_clip\(source\), or pass model\.preprocess"):
        vj.read_clip(tmp_path / "clip.mkv", model)  # type: ignore[call-overload]


def test_a_model_says_what_it_is(model: vj.Model) -> None:
    assert repr(model) == (
        "<Model small on onnxruntime:cpu: fp32, windows of 4 x 12 x 12 at 4 fps, embeddings of 8>"
    )


def test_answer_asks_the_question(model: vj.Model, clip: np.ndarray) -> None:
    ranked = model.answer(clip, "what is red ?", ["ball", "box"])
    cosines = model.embed_text(["ball", "box"]) @ model.embed(clip, "what is red ?")
    assert ranked[0].label == ("ball", "box")[int(cosines.argmax())]


def test_the_decoder_is_loaded_at_the_first_decode(small_zip: Path, clip: np.ndarray) -> None:
    model = vj.load(small_zip, engine="onnxruntime:cpu")
    embedding = model.embed(clip)
    assert not model.decoder_loaded
    assert isinstance(model.decode(embedding), str)
    assert model.decoder_loaded


def test_without_a_decoder_answers_are_ranked_and_not_worded(
    wordless: vj.Model, model: vj.Model, clip: np.ndarray
) -> None:
    assert wordless.answer(clip, "what is red ?", ["ball", "box"]) == model.answer(
        clip, "what is red ?", ["ball", "box"]
    )
    with pytest.raises(vj.BundleError, match=r"has no Y-decoder, so .*: pass candidates \(--label\)"):
        wordless.decode(wordless.embed(clip))


def test_threads_share_a_model(small_zip: Path, clip: np.ndarray) -> None:
    model = vj.load(small_zip, engine="onnxruntime:cpu", threads=1)
    expected = (model.embed(clip), model.decode(model.embed(clip)))
    results: list[tuple[np.ndarray, str]] = []

    def work() -> None:
        for _ in range(5):
            embedding = model.embed(clip)
            model.embed_text([f"red {threading.get_ident() % 7}", "ball"])
            results.append((embedding, model.decode(embedding)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert all(np.array_equal(embedding, expected[0]) and text == expected[1] for embedding, text in results)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda m, c: m.embed(c.astype(np.float32)), "uint8 RGB", id="float-frames"),
        pytest.param(lambda m, c: m.embed(c[..., :1]), "uint8 RGB", id="grey"),
        pytest.param(lambda m, c: m.embed(c[:0]), "uint8 RGB", id="no-frames"),
        pytest.param(lambda m, c: m.embed(c, query=""), "at least one word", id="empty-query"),
        pytest.param(
            lambda m, c: m.encode(c, tokens="budget:9"),
            r"at most the window's 8 tokens, got 9",
            id="budget-too-large",
        ),
        pytest.param(lambda m, c: m.embed_text("red"), "list of texts", id="text-not-list"),
        pytest.param(lambda m, c: m.classify(c, []), "list of labels, got an empty list", id="no-labels"),
        pytest.param(
            lambda m, c: m.decode(np.zeros(7, np.float32)), r"one embedding \(8,\)", id="decode-shape"
        ),
        pytest.param(
            lambda m, c: m.predict(np.zeros((8, 9), np.float32)), "expected shape", id="visual-width"
        ),
        pytest.param(
            lambda m, c: m.predict(np.zeros((8, 8))), "expected float32, got float64", id="visual-type"
        ),
        pytest.param(lambda m, c: m.session(query=[]), "list of queries", id="no-query"),
        pytest.param(lambda m, c: m.session(query=["a", "a"]), "each query once", id="query-twice"),
        pytest.param(lambda m, c: m.session(decode="maybe"), "auto | always | never", id="decode-mode"),
    ],
)
def test_wrong_input(model: vj.Model, clip: np.ndarray, call: object, message: str) -> None:
    with pytest.raises(vj.InputError, match=message):
        call(model, clip)  # type: ignore[operator]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps what is open")
@pytest.mark.parametrize("form", ["zip", "folder"])
def test_a_decoder_that_is_loaded_late_is_the_one_that_was_checked(
    form: str, small_zip: Path, small_folder: Path, tmp_path: Path
) -> None:
    """Hours may lie between loading a model and its first words; an update or a stranger may come between."""
    place = tmp_path / "b.vljepa"
    place.write_bytes(small_zip.read_bytes())
    frames = np.zeros((4, 12, 12, 3), np.uint8)
    model = vj.load(place if form == "zip" else small_folder, engine="onnxruntime:cpu")
    wanted = vj.load(small_zip, engine="onnxruntime:cpu").decode(model.embed(frames))
    for path in [place, *small_folder.glob("y_decoder*")]:
        other = tmp_path / "other"
        other.write_bytes(b"something else")
        os.replace(other, path)
    assert model.decode(model.embed(frames)) == wanted


def test_a_decoder_that_is_written_to_in_place_is_refused(small_folder: Path) -> None:
    model = vj.load(small_folder, engine="onnxruntime:cpu")
    with (small_folder / "y_decoder_step.onnx").open("r+b") as file:
        file.seek(200)
        file.write(b"\0\0\0\0")
    with pytest.raises(vj.BundleError, match=r"y_decoder_step.onnx: expected sha256"):
        model.decode(np.ones(8, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_embedding_of_a_caller_is_finite(small_zip: Path, value: float) -> None:
    model = vj.load(small_zip, engine="onnxruntime:cpu")
    with pytest.raises(vj.InputError, match="an embedding of finite numbers"):
        model.decode(np.full(8, value, np.float32))
    with pytest.raises(vj.InputError, match="an embedding of finite numbers"):
        model.rank(np.full(8, value, np.float32), ["a ball"])


class Replaced:
    """A graph that gives these embeddings, whatever it is fed."""

    def __init__(self, graph: object, embedding: np.ndarray) -> None:
        self.name, self.inputs, self.outputs = graph.name, graph.inputs, graph.outputs  # type: ignore[attr-defined]
        self._embedding = embedding

    def run(self, feeds: object) -> dict[str, np.ndarray]:
        return {"embedding": self._embedding}


def replaced(small_zip: Path, embedding: np.ndarray) -> vj.Model:
    bundle = vj.Bundle.open(small_zip)
    engine = vj.open_engine("onnxruntime:cpu", threads=1)

    class Engine:
        name = "replaced"

        def load(self, bundle: vj.Bundle, graph_name: str) -> object:
            graph = engine.load(bundle, graph_name)
            return Replaced(graph, embedding) if graph_name in ("predictor", "y_encoder") else graph

    return vj.Model(bundle, Engine())  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [3e38, 1.0, 1e-30, 1e-40], ids=str)
def test_embeddings_of_any_length_become_unit_vectors(
    small_zip: Path, clip: np.ndarray, value: float
) -> None:
    """Squares of the first overflow in float32, those of the last are 0."""
    row = np.full((1, 8), value, np.float32)
    row[0, ::2] *= -1
    found = replaced(small_zip, row).embed(clip)
    np.testing.assert_allclose(found, np.sign(row[0]) / np.sqrt(8), rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(np.zeros((1, 8), np.float32), "an embedding of zeros", id="zeros"),
        pytest.param(np.ones((1, 5), np.float32), r"embeddings \(1, 5\), expected \(1, 8\)", id="short"),
        pytest.param(np.ones((3, 8), np.float32), r"embeddings \(3, 8\), expected \(1, 8\)", id="more-rows"),
        pytest.param(np.ones((0, 8), np.float32), r"embeddings \(0, 8\), expected \(1, 8\)", id="no-rows"),
    ],
)
def test_a_graph_gives_embeddings_of_the_contract(
    small_zip: Path, clip: np.ndarray, rows: np.ndarray, message: str
) -> None:
    model = replaced(small_zip, rows)
    with pytest.raises(vj.RunError, match=f"predictor gave {message}"):
        model.embed(clip)
    with pytest.raises(vj.RunError, match=f"y_encoder gave {message}"):
        model.embed_text(["a ball"])
