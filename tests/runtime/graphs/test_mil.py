"""Core ML packages of strangers: programs built with coremltools' own protobuf, refused before Core ML sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vljepa_runtime.engines.coreml_tools import coremltools
from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.graphs.mil_file import check_program
from vljepa_runtime.graphs.wire import Damaged

BESIDE = {"weights/weight.bin": 128}


@pytest.fixture(scope="module")
def proto() -> Callable[[], Any]:
    """Makes an empty model with one function and one constant in listed weights."""
    try:
        models = coremltools("proto.Model_pb2")
    except MissingExtraError as error:
        pytest.skip(str(error))

    def made() -> Any:
        model = models.Model(specificationVersion=8)
        model.mlProgram.version = 1
        block(model)
        operation(model).attributes["val"].blobFileValue.fileName = "@model_path/weights/weight.bin"
        return model

    return made


def block(model: Any) -> Any:
    function = model.mlProgram.functions["main"]
    function.opset = "CoreML7"
    return function.block_specializations["CoreML7"]


def operation(model: Any) -> Any:
    return block(model).operations.add(type="const")


def blob(value: Any, name: str = "/etc/passwd", offset: int = 0) -> None:
    value.blobFileValue.fileName = name
    value.blobFileValue.offset = offset


def in_attribute(model: Any) -> None:
    blob(operation(model).attributes["val"])


def in_argument(model: Any) -> None:
    blob(operation(model).inputs["x"].arguments.add().value)


def in_list(model: Any) -> None:
    blob(
        operation(model).attributes["val"].immediateValue.list.values.add().immediateValue.tuple.values.add()
    )


def in_dictionary(model: Any) -> None:
    blob(operation(model).attributes["val"].immediateValue.dictionary.values.add().key)


def in_type(model: Any) -> None:
    kind = operation(model).outputs.add(name="y").type.listType.type.tensorType
    blob(kind.attributes["a"])


def of_program(model: Any) -> None:
    blob(model.mlProgram.attributes["a"])


def of_function(model: Any) -> None:
    blob(model.mlProgram.functions["main"].attributes["a"])


def of_block(model: Any) -> None:
    blob(block(model).attributes["a"])


def climbs(model: Any) -> None:
    blob(operation(model).attributes["val"], "@model_path/../../x.bin")


def unlisted(model: Any) -> None:
    blob(operation(model).attributes["val"], "@model_path/weights/other.bin")


def past_the_end(model: Any) -> None:
    blob(operation(model).attributes["val"], "@model_path/weights/weight.bin", 128)


def loop(model: Any) -> None:
    operation(model).blocks.add()


def linked(model: Any) -> None:
    model.linkedModel.linkedModelFile.linkedModelFileName.defaultValue = "other.mlmodel"


def pipeline(model: Any) -> None:
    model.pipeline.models.add()


def deep(model: Any) -> None:
    value = operation(model).attributes["val"]
    for _ in range(40):
        value = value.immediateValue.list.values.add()


def test_a_program_with_listed_weights(proto: Callable[[], Any]) -> None:
    check_program(memoryview(proto().SerializeToString()), BESIDE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_attribute, "lies in '/etc/passwd', which this graph does not list"),
        (in_argument, "does not list"),
        (in_list, "does not list"),
        (in_dictionary, "does not list"),
        (in_type, "does not list"),
        (of_program, "does not list"),
        (of_function, "does not list"),
        (of_block, "does not list"),
        (climbs, "does not list"),
        (unlisted, "does not list"),
        (past_the_end, "lies at 128 of weights/weight.bin, which has 128 bytes"),
        (loop, "as loops and branches do"),
        (linked, "has a field 556, expected an ML program and nothing else"),
        (pipeline, "has a field 202"),
        (deep, "nested too deep"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_program_of_a_stranger(
    proto: Callable[[], Any], change: Callable[[Any], None], message: str
) -> None:
    model = proto()
    change(model)
    with pytest.raises(Damaged, match=message):
        check_program(memoryview(model.SerializeToString()), BESIDE)


def test_two_programs_are_not_merged(proto: Callable[[], Any]) -> None:
    with pytest.raises(Damaged, match="holds 2 ML programs"):
        check_program(memoryview(proto().SerializeToString() * 2), BESIDE)


@pytest.mark.parametrize("content", [b"", b"\xb2", b"\xff" * 30])
def test_no_program(content: bytes) -> None:
    with pytest.raises(Damaged):
        check_program(memoryview(content), BESIDE)
