"""A float graph in the fused operators that ONNX Runtime has kernels for on GPUs: what to write, not in which type.

One node each for attention (with the lengths of padded rows instead of a mask), a norm together with the residual sum
and the bias before it, rotary angles, a gate, a bias with its activation. Results differ by float rounding alone.

>>> from onnx import parser
>>> from vljepa_quant import GraphEditor
>>> from vljepa_quant.fusion import fuse
>>> editor = GraphEditor(parser.parse_model('''
...     <ir_version: 10, opset_import: ["": 20]>
...     gate (float[N, 8] x) => (float[N, 8] y) { s = Sigmoid(x) y = Mul(x, s) }
... '''))
>>> fuse(editor)
>>> [node.op_type for node in editor.nodes]
['QuickGelu']
"""

from onnx import TensorProto

from vljepa_quant.fusion.activations import fuse_activations, split_products
from vljepa_quant.fusion.attention import fuse_attention
from vljepa_quant.fusion.norms import fuse_residuals, fuse_rms_norms
from vljepa_quant.graph_editor import GraphEditor

__all__ = ["PINNED", "fuse"]

# What stays in float32 around fused operators: a mean over thousands of tokens and the angles of late positions lose
# their digits. Norms and attention do not: their kernels sum in float32 inside.
PINNED = frozenset(("Pow", "ReduceMean", "ReduceSum", "ReduceL2", "Sqrt", "Div", "Sin", "Cos", "Clip"))


def fuse(editor: GraphEditor, kind: int = TensorProto.FLOAT) -> None:
    """Fuse an opened float graph, as the exporter writes it.

    Args:
        editor: The graph; what a pass does not recognise stays as it is.
        kind: The type that it will compute in: tables are cast to it before they are spread over all heads.
    """
    for step in (fuse_rms_norms, lambda graph: fuse_attention(graph, kind), split_products, fuse_activations,
                 fuse_residuals):  # fmt: skip
        step(editor)
        editor.drop_dead()
