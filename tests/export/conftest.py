"""A model small enough to export in seconds: same networks, tiny numbers, seeded random weights."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="session")
def traced_graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Float graphs that any process of this run has traced: a file each."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "traced-graphs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _each_graph_once(traced_graphs: Path) -> Iterator[None]:
    """torch's exporter takes most of an export's time; what it made of the very weights is kept for the run."""
    from vljepa_export import walk
    from vljepa_model.runs.fingerprint import fingerprint
    from vljepa_runtime.files import cache_file

    def remembered(definition: Any, **options: Any) -> Any:
        key = repr((definition.name, fingerprint(definition.module), sorted(options.items())))
        file = traced_graphs / hashlib.sha256(key.encode()).hexdigest()
        if not file.exists():
            cache_file(file, pickle.dumps(plain(definition, **options)))
        return pickle.loads(file.read_bytes())

    plain = walk.trace_graph
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "trace_graph", remembered)
        yield


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vljepa_data.world import PROMPTS
    from vljepa_model import VLJEPA, ModelConfig
    from vljepa_model.checkpoint import save_checkpoint
    from vljepa_model.config import TextStackConfig, XEncoderConfig, YDecoderConfig
    from vljepa_model.training.vocabulary import train_tokenizer

    stack = TextStackConfig(width=32, depth=1, heads=4, kv_heads=2, mlp=48)
    config = ModelConfig(
        x_encoder=XEncoderConfig(width=32, depth=1, heads=2, mlp=64, patch=12, size=48, frames=4),
        predictor=stack,
        y_encoder=TextStackConfig(width=32, depth=1, heads=2, kv_heads=2, mlp=48),
        y_decoder=YDecoderConfig(stack=stack, prefix=2),
        embedding_dim=24,
        vocab_size=320,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export") / "small"
    folder.mkdir()
    train_tokenizer(config.vocab_size).save(str(folder / "draft.json"))
    save_checkpoint(
        VLJEPA(config),
        folder,
        tokenizer_file=folder / "draft.json",
        prompts=dict(PROMPTS),
        metadata={
            "name": "small",
            "license": "Apache-2.0",
            "created": "2026-01-01T00:00:00Z",
            "knows_only": "noise",
        },
    )
    (folder / "draft.json").unlink()
    return folder


@pytest.fixture(scope="session")
def on_disk(tmp_path_factory: pytest.TempPathFactory):
    """`on_disk(contract, model, network=None)`: a float graph in a folder of its own, as a target takes it."""
    import onnx

    from vljepa_export.targets.protocol import TracedGraph

    def write(contract, model, network=None):
        path = tmp_path_factory.mktemp("traced") / f"{contract.name}.onnx"
        onnx.save(model, path)
        return TracedGraph(contract=contract, path=path, network=lambda: network)

    return write


@pytest.fixture(scope="session")
def mil_program(tmp_path_factory: pytest.TempPathFactory):
    """`mil_program(inputs, build)`: a program of coremltools' own builder, saved and opened in the interpreter.

    `inputs` gives shape and type (`fp32`, `fp16`, `int32`) per name; `build(mb, variables)` gives named outputs. No
    optimisation touches the program unless `optimise` says so.
    """
    pytest.importorskip("coremltools")
    from vljepa_export.mil import MilProgram
    from vljepa_runtime.engines.coreml_tools import coremltools, quiet

    def make(inputs, build, *, optimise=False, target="iOS18"):
        ct, mil = coremltools(), coremltools("converters.mil.mil")
        version = getattr(ct.target, target)
        program = mil.Program()
        places = {
            name: mil.Builder.placeholder(shape=shape, dtype=getattr(mil.types, kind))
            for name, (shape, kind) in inputs.items()
        }
        folder = tmp_path_factory.mktemp("mil") / "program.mlpackage"
        with quiet():
            with mil.Function(places, opset_version=version) as function:
                outputs = build(mil.Builder, function.inputs)
                function.set_outputs(
                    [mil.Builder.identity(x=value, name=name) for name, value in outputs.items()]
                )
                program.add_function("main", function)
            ct.convert(
                program,
                source="milinternal",
                convert_to="mlprogram",
                minimum_deployment_target=version,
                compute_precision=ct.precision.FLOAT32,
                pass_pipeline=ct.PassPipeline.DEFAULT if optimise else ct.PassPipeline.EMPTY,
                skip_model_load=True,
            ).save(str(folder))
        return MilProgram.open(folder)

    return make
