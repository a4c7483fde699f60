"""Whatever a manifest claims is bounded before memory or time is spent on it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import vljepa_runtime as vj
from vljepa_runtime.bundle import Bundle, Manifest
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.preprocessing.preprocess import Preprocess

BIG = 10**240


def put(path: str, value: object) -> Any:
    """A change that sets one value of the manifest, by its dotted path."""

    def change(values: Any) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            values = values[part]
        values[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("preprocess.frames", 2**30, "frames: expected at most 1024"),
        ("preprocess.frames", 8.0, "frames: expected a whole number of at least 0, got 8.0"),
        ("preprocess.frames", True, "frames: expected a whole number of at least 0, got True"),
        ("preprocess.fps", 1e9, r"fps must lie in 0.001..1000, got 1e\+09"),
        ("preprocess.fps", 1e-9, "fps must lie in"),
        ("preprocess.fps", "4", "fps: expected a finite number"),
        ("preprocess.fps", 2**63, "fps must lie in"),
        ("preprocess.size", 24_000, "size: expected at most 4096"),
        ("preprocess.size", 4_092, "at most 33554432 pixels"),
        ("preprocess.size", 2_040, "at most 32768 tubelets"),
        ("preprocess.size", "96", "size: expected a whole number"),
        ("preprocess.patch", 6, r"patches: expected 216 for P, got \(B, N, 864\)"),
        ("preprocess.tubelet", -2, "tubelet: expected a whole number of at least 0, got -2"),
        ("preprocess.short_side", 10**9, "short_side: expected at most 8192"),
        ("preprocess.mean", ["a", "b", "c"], r"mean\[0\]: expected a finite number"),
        ("preprocess.std", [1, 1, True], r"std\[2\]: expected a finite number"),
        ("preprocess.mean", 0.5, "mean: expected a list, got 0.5"),
        ("graphs.predictor.inputs.1.shape.1", 500_000_000, "at most 16777216"),
        ("graphs.predictor.inputs.1.shape.1", 1_000_000, "expected at most 1024 for L"),
        ("graphs.predictor.inputs.1.shape", ["B"], r"expected 2 axes \(B, L\), got \(B\)"),
        ("graphs.predictor.inputs.1.shape", ["B"] * 9, "at most 8 items"),
        ("graphs.predictor.inputs", [], "predictor: expected the tensors visual, query_ids, query_mask, got none"),
        ("graphs.predictor.outputs.0.shape.1", 10_000_000, "expected 256 for S"),
        ("graphs.y_encoder.inputs.0.shape.0", 10**9, "at most 16777216"),
        ("graphs.y_encoder.inputs.0.shape.0", 100_000, "expected at most 256 for B"),
        ("graphs.y_encoder.inputs", [], "y_encoder: expected the tensors ids, mask"),
        ("graphs.x_encoder.inputs.0.shape.1", 10**7, "at most 134217728 values"),
        ("graphs.x_encoder.inputs.1.shape.2", 4, "expected 3 for 3"),
        ("graphs.x_encoder.external", ["tokenizer.json"] * 2, "expected every file of it once"),
        ("graphs.x_encoder.external", ["x_encoder.onnx"], "expected every file of it once"),
        ("graphs.x_encoder.token_budgets", [10**6], "at most 32768"),
        ("graphs.x_encoder.token_budgets", [64.0], "a whole number"),
        ("graphs.x_encoder.token_budgets", [64] * 2000, "at most 64 items, got 2000"),
        ("graphs.y_decoder_step.inputs.1.shape", ["B", 3, 4_000_000, 32], "at most 134217728 values"),
        ("graphs.y_decoder_step.inputs.1.shape", ["B", 3, "T"], "expected 4 axes"),
        ("graphs.y_decoder_prefill.outputs.1.name", "logits", "expected the tensors"),
        ("embedding_dim", 10**7, "at most 65536"),
        ("embedding_dim", 256.0, "a whole number"),
        ("parity.x_encoder.cosine", BIG, "a number has 241 digits"),
        ("gates.labels", BIG, "a number has 241 digits"),
        ("name", "\ud800x", "lone surrogate"),
        ("name", "tiny\x1b]0;x\x07", "without control characters"),
        ("name", "ynit\u202e", "without control characters"),
        ("name", "two\nlines", "a name of one line"),
        ("name", "x" * 201, "at most 200 characters"),
        ("license", "MIT\x1b[2J", "without control characters"),
        ("knows_only", "all\x1b[2J", "without control characters"),
        ("knows_only", "x" * 201, "at most 200 characters"),
        ("license", "MIT\x9b2J", "without control characters"),
        ("prompts.caption", "What?\x1b[31m", "without control characters"),
        ("prompts.caption", "x" * 9000, "at most 8000 characters"),
        ("toolchain", {"x\x1b": "1"}, "without control characters"),
        ("toolchain", {f"t{i}": "1" for i in range(300)}, "at most 256 toolchain"),
        ("notes", {"x_encoder": "\x1b[2J"}, "without control characters"),
        ("target", "onnx\x1b", "without control characters"),
        ("graphs.predictor.inputs.1.dtype", "int32\x07", "without control characters"),
    ],
)  # fmt: skip
def test_a_claim_is_refused(
    hostile_bundles: ModuleType, tmp_path: Path, path: str, value: object, message: str
) -> None:
    bundle = hostile_bundles.write_hostile(tmp_path / "bad.vljepa", change=put(path, value))
    with pytest.raises(BundleError, match=message) as refused:
        Bundle.open(bundle)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()
    with pytest.raises(BundleError):
        vj.load(bundle)


def test_numbers_that_no_float_holds_are_refused_without_json(hostile_bundles: ModuleType) -> None:
    values = json.loads(hostile_bundles.read_bundle()["bundle.json"])
    values["parity"]["x_encoder"]["cosine"] = 10**400
    with pytest.raises(BundleError, match="a finite number"):
        Manifest.from_dict(values)
    with pytest.raises(InputError, match="fps: expected a finite number"):
        Preprocess(fps=10**400)


def test_a_tokenizer_of_gigabytes_is_refused_by_its_listed_size(hostile_bundles: ModuleType) -> None:
    values = json.loads(hostile_bundles.read_bundle()["bundle.json"])
    values["files"]["tokenizer.json"]["size"] = 1 << 30
    with pytest.raises(BundleError, match="at most 67108864"):
        Manifest.from_dict(values)


@pytest.mark.parametrize(
    "geometry",
    [
        pytest.param({"frames": 64, "size": 384, "patch": 16}, id="V-JEPA 2 giant, 384 pixels, 64 frames"),
        pytest.param({"frames": 64, "size": 512, "patch": 16}, id="512 pixels"),
        pytest.param({"frames": 16, "size": 224, "patch": 14}, id="patches of 14"),
        pytest.param({"fps": 0.1}, id="a frame in 10 s"),
        pytest.param({"fps": 240}, id="a fast camera"),
    ],
)
def test_geometries_of_real_models_are_accepted(geometry: dict[str, Any]) -> None:
    assert Preprocess(**geometry).tokens
