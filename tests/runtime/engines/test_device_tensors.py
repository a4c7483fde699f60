"""Values that stay on a device between graphs, with the host's memory in a device's place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.engines.device_tensors import DeviceTensor
from vljepa_runtime.engines.onnxruntime import OnnxRuntimeEngine
from vljepa_runtime.engines.protocol import Engine, Tensor, run_keeping
from vljepa_runtime.errors import InputError, RunError
from vljepa_runtime.graphs.checking import feed_shapes

CLIP = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def usual() -> vj.Model:
    return vj.load("tiny", engine="onnxruntime:cpu", threads=1)


@pytest.fixture(scope="module")
def keeping(usual: vj.Model) -> vj.Model:
    engine = OnnxRuntimeEngine("cpu", threads=1)
    engine._memory = "cpu"
    return vj.Model(usual.bundle, engine)


def test_visual_tokens_stay_until_numpy_asks(usual: vj.Model, keeping: vj.Model) -> None:
    patches, positions = usual.patches(CLIP)
    visual = keeping.encode_on_device(patches, positions)
    assert isinstance(visual.tensor, DeviceTensor)
    assert visual.shape == (len(patches), 192)
    wanted = usual.encode_patches(patches, positions)
    assert np.array_equal(np.asarray(visual), wanted)
    assert np.array_equal(keeping.encode_patches(patches, positions), wanted)


def test_embeddings_and_words_are_the_same_to_the_bit(usual: vj.Model, keeping: vj.Model) -> None:
    embedding = keeping.embed(CLIP, "What moves?")
    assert np.array_equal(embedding, usual.embed(CLIP, "What moves?"))
    assert np.array_equal(keeping.embed_text(["a box"]), usual.embed_text(["a box"]))
    assert keeping.decode(embedding) == usual.decode(embedding) != ""


def test_a_later_run_does_not_change_what_was_kept(usual: vj.Model, keeping: vj.Model) -> None:
    first = keeping.encode_on_device(*usual.patches(CLIP))
    before = np.array(first)
    keeping.encode_on_device(*usual.patches(255 - CLIP))
    assert np.array_equal(np.asarray(first), before)


def test_an_engine_without_such_a_memory_gives_numpy(usual: vj.Model) -> None:
    visual = usual.encode_on_device(*usual.patches(CLIP))
    assert isinstance(visual.tensor, np.ndarray)
    assert np.array_equal(usual.predict(visual), usual.embed(CLIP))


def test_what_is_kept_is_held_to_the_contract(usual: vj.Model, keeping: vj.Model) -> None:
    visual = keeping.encode_on_device(*usual.patches(CLIP))
    ids = keeping._predictor.inputs[1]
    wrong: dict[str, Tensor] = {
        "visual": visual.tensor,
        ids.name: np.zeros((2, 32), np.int32),
        "query_mask": np.ones((2, 32), np.int32),
    }
    with pytest.raises(InputError, match="expected shape"):
        run_keeping(keeping._predictor, wrong, ())


@pytest.fixture(scope="module")
def captured(usual: vj.Model) -> vj.Model:
    """Buffers and threads as where a device captures; the host's memory captures nothing."""
    engine = OnnxRuntimeEngine("cpu", threads=1)
    engine._memory = "cpu"
    model = vj.Model(usual.bundle, engine)
    for graph in (model._x_encoder, model._predictor):
        graph.capture(feed_shapes(model.bundle.manifest, model.bundle.graph(graph.name)))
    return model


def test_a_captured_run_gives_what_a_plain_one_gives(usual: vj.Model, captured: vj.Model) -> None:
    for clip in (CLIP, 255 - CLIP, CLIP):
        assert np.array_equal(captured.embed(clip), usual.embed(clip))
        assert np.array_equal(captured.encode(clip), usual.encode(clip))
    half = usual.patches(CLIP, tokens="budget:64")  # another size than the usual one
    assert np.array_equal(captured.encode_patches(*half), usual.encode_patches(*half))


def test_what_a_captured_run_keeps_is_not_overwritten(usual: vj.Model, captured: vj.Model) -> None:
    first = captured.encode_on_device(*usual.patches(CLIP))
    captured.encode_on_device(*usual.patches(255 - CLIP))
    assert np.array_equal(np.asarray(first), usual.encode(CLIP))


def test_threads_share_captured_runs(usual: vj.Model, captured: vj.Model) -> None:
    clips = [CLIP, 255 - CLIP] * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(captured.embed, clips))
    assert all(np.array_equal(one, usual.embed(clip)) for one, clip in zip(found, clips))


class Half:
    """A tensor that is no array."""

    shape, dtype = (1, 4, 8), np.dtype("float32")

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.ones(self.shape, np.float32)


def test_any_graph_takes_tensors() -> None:
    class Doubling:
        name, inputs, outputs = "g", (), ()

        def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"y": feeds["x"] * 2}

    given: dict[str, Tensor] = {"x": Half()}
    assert run_keeping(Doubling(), given, ("y",))["y"].shape == (1, 4, 8)


def test_a_failure_is_a_run_error(usual: vj.Model) -> None:
    engine: Engine = OnnxRuntimeEngine("cpu")
    engine._memory = "nowhere"  # type: ignore[attr-defined]
    model = vj.Model(usual.bundle, engine)
    with pytest.raises(RunError, match="x_encoder failed in ONNX Runtime"):
        model.encode_on_device(*usual.patches(CLIP))
