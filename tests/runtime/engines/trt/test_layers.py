"""The builder's list of layers, as TensorRT for RTX 1.7.1 wrote it."""

from __future__ import annotations

from vljepa_runtime.engines.trt.layers import parse_layers, summary


def tensor(name: str, shape: str, kind: str) -> str:
    return (
        f"{{ Name: {name}, Dimensions: [{shape}], Strides: [1,1], StrideOrder: [1,0], Datatype: {kind}, "
        "Format: (Linear) Row major linear format }"
    )


def line(
    name: str, kind: str, inputs: list[str], constants: list[str], outputs: list[str], nodes: str = ""
) -> str:
    parts = (", ".join(part) for part in (inputs, constants, outputs))
    shown = [f"[ {part}]" if part else "[]" for part in parts]
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: {shown[0]}, Constants: {shown[1]}, Outputs: {shown[2]}, "
        f"TacticName: t, StreamId: 0, Metadata: {nodes}"
    )


TEXT = "\n".join(
    [
        "Engine Layer Information:",
        line("__mye1_0", "shape_call", [], [], []),
        line("__myl_Cast_1", "kgen", [tensor("patches", "-1,-1,864", "UInt8")], [], [tensor("a", "-1,864", "Half")]),
        line(
            "MatMul:val_15_4", "gemm", [tensor("b", "-1,192", "Int8")],
            [tensor("w", "192,576", "Int8"), tensor("alpha", "1", "Float")], [tensor("c", "-1,576", "Half")],
            "[ONNX Layer: MatMul:val_15][ONNX Layer: Add:linear]",
        ),
        line("_gemm_mha_v2_6", "kgen", [tensor("q", "-1,-1,32", "Half")], [], [tensor("d", "-1,-1,32", "Int8")]),
        line(
            "__myl_ReplCastMulCastFc_7", "runtime_fusion", [tensor("d", "-1,192", "Half")],
            [tensor("w", "192,576", "Int4"), tensor("s", "3,576", "Half")], [tensor("e", "-1,576", "Half")],
        ),
        line("__myl_FcAdd_8", "runtime_fusion", [tensor("e", "1,8", "Float")], [], [tensor("f", "1,8", "Float")]),
        line("__myl_Sqrt_9", "kgen", [tensor("f", "1,8", "Float")], [], [tensor("g", "1,8", "Float")]),
        "Bindings:",
    ]
)  # fmt: skip


def test_layers_with_their_types_and_nodes() -> None:
    layers = parse_layers(TEXT)
    assert [layer.kind for layer in layers] == [
        "kgen",
        "gemm",
        "kgen",
        "runtime_fusion",
        "runtime_fusion",
        "kgen",
    ]
    product = layers[1]
    assert product.inputs == ("Int8",)
    assert product.constants == ("Int8",)  # the scalar alpha is no operand
    assert product.outputs == ("Half",)
    assert product.nodes == ("MatMul:val_15", "Add:linear")


def test_products_and_float32() -> None:
    layers = parse_layers(TEXT)
    assert [layer.is_product for layer in layers] == [False, True, True, True, True, False]
    assert [layer.is_float32 for layer in layers] == [False, False, False, False, True, True]
    assert [layer.operands for layer in layers if layer.is_product] == [
        "Int8",
        "Half",
        "Half x Int4",
        "Float",
    ]


def test_summary() -> None:
    assert summary(parse_layers(TEXT)) == (
        "6 layers; products: 1 Int8, 1 Half, 1 Half x Int4, 1 Float; attention in one kernel: 1; wholly in fp32: 2"
    )


def test_other_text_has_no_layers() -> None:
    assert parse_layers("nothing here\nName: x") == ()
