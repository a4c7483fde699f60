from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vljepa_export import GraphContractError, ParityError  # noqa: E402
from vljepa_export.graphs import GraphDefinition, graph_definition  # noqa: E402
from vljepa_export.onnx_export import check_contract, export_graph  # noqa: E402
from vljepa_export.parity import GraphParity, asked, compare, require_parity  # noqa: E402
from vljepa_runtime.contract import TensorSpec  # noqa: E402


def definition(**changes: object) -> GraphDefinition:
    values: dict[str, object] = {
        "name": "double",
        "module": torch.nn.Linear(3, 2),
        "inputs": (TensorSpec(name="x", dtype="float32", shape=("B", 3)),),
        "outputs": (TensorSpec(name="y", dtype="float32", shape=("B", 2)),),
        **changes,
    }
    return GraphDefinition(**values)  # type: ignore[arg-type]


SAMPLES = [{"x": np.arange(6, dtype=np.float32).reshape(2, 3)}]


def test_equal_outputs_score_full_marks() -> None:
    made = definition(
        module=torch.nn.Identity(), outputs=(TensorSpec(name="y", dtype="float32", shape=("B", 3)),)
    )
    parity = compare(made, asked(made, SAMPLES), lambda feeds: [feeds["x"]])
    assert (parity.worst_cosine, parity.max_abs, parity.rows) == (pytest.approx(1.0), 0.0, 2)
    assert parity.psnr_db == 200.0


def test_one_bad_row_shows_in_the_worst_not_the_mean() -> None:
    made = definition(
        module=torch.nn.Identity(), outputs=(TensorSpec(name="y", dtype="float32", shape=("B", 3)),)
    )
    x = np.ones((200, 3), np.float32)
    broken = x.copy()
    broken[7] *= -1
    parity = compare(made, asked(made, [{"x": x}]), lambda feeds: [broken])
    assert parity.worst_cosine == pytest.approx(-1.0)
    assert parity.mean_cosine > 0.98
    assert parity.max_abs == 2.0


@pytest.mark.parametrize(
    ("given", "match"),
    [
        pytest.param(np.zeros((2, 3), np.float32), r"torch gives \(2, 2\)", id="shape"),
        pytest.param(np.zeros((2, 2), np.float64), "float64", id="dtype"),
        pytest.param(np.full((2, 2), np.nan, np.float32), "NaN", id="nan"),
    ],
)
def test_shapes_and_types_come_before_values(given: np.ndarray, match: str) -> None:
    with pytest.raises(ParityError, match=match):
        compare(definition(), asked(definition(), SAMPLES), lambda feeds: [given])


@pytest.mark.parametrize(
    ("cosine", "psnr", "match"),
    [pytest.param(0.9, 60.0, "worst cosine", id="cosine"), pytest.param(1.0, 20.0, "PSNR", id="psnr"),
     pytest.param(float("nan"), 60.0, "worst cosine", id="nan")],
)  # fmt: skip
def test_gate(cosine: float, psnr: float, match: str) -> None:
    parity = GraphParity(
        mean_cosine=1.0, p1_cosine=1.0, worst_cosine=cosine, max_abs=0.1, psnr_db=psnr, rows=3
    )
    with pytest.raises(ParityError, match=match):
        require_parity("x_encoder", parity, worst_cosine=0.9999)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        pytest.param(
            {"inputs": (TensorSpec(name="z", dtype="float32", shape=("B", 3)),)}, "names", id="name"
        ),
        pytest.param(
            {"inputs": (TensorSpec(name="x", dtype="int32", shape=("B", 3)),)}, "dtypes", id="dtype"
        ),
        pytest.param(
            {"outputs": (TensorSpec(name="y", dtype="float32", shape=("B", 9)),)}, "shapes", id="shape"
        ),
    ],
)
def test_contract_errors_are_kept_apart(changes: dict[str, object], match: str) -> None:
    model = export_graph(definition())
    with pytest.raises(GraphContractError, match=match):
        check_contract(model, definition(**changes))


def test_partial_windows_have_the_tokens_that_the_runtime_keeps() -> None:
    """Saliency by contrast alone, without motion, chose others: parity was measured on tokens that nobody runs."""
    import vljepa_runtime as vj
    from vljepa_data.world import Split, make_clip
    from vljepa_evaluation.gates import Reference
    from vljepa_export.footage import world_footage
    from vljepa_export.samples import SampleChain
    from vljepa_model.checkpoint import open_checkpoint
    from vljepa_model.shipped import checkpoint_folder

    model = vj.load("tiny", engine="onnxruntime:cpu", threads=1)
    opened = open_checkpoint(checkpoint_folder())
    encoder = graph_definition("x_encoder", opened.x_encoder(), opened.config)
    samples = SampleChain(opened, world_footage(opened.preprocess, clips=4)).feeds(encoder)
    recorded = [sample.feeds for sample in Reference.of(model.bundle).samples["x_encoder"]]
    whole = model.preprocess.tokens
    for feeds, number in [*zip(samples, range(4)), *zip(recorded, range(2))]:
        clip = make_clip(number, Split.TEST, size=96, frames=8)
        kept = model.patches(clip.frames, tokens=f"budget:{whole // 2 if number % 2 else whole}")
        for ours, theirs in zip(feeds.values(), kept):
            np.testing.assert_array_equal(ours[0], theirs)
