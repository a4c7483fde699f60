"""Quantisation of exported graphs: the table of precisions, and one file per method.

>>> from vljepa_quant import limits_for, precisions_of
>>> list(precisions_of("openvino")), list(precisions_of("onnx"))
(['int8', 'int8-weights', 'fp16', 'bf16', 'fp32'], ['int8', 'int4', 'fp16', 'bf16', 'fp32'])
>>> int8 = precisions_of("onnx")["int8"]
>>> int8
Precision(name='int8', formats=('onnx',), label='int8-dynamic', limits=Limits(...), ..., weights=Weights(...), ...)
>>> limits_for("int8-dynamic") == int8.limits
True

Any float graph of ONNX can take a precision of that format, in memory or, where it is large, from disk to disk:

>>> import numpy as np
>>> from onnx import numpy_helper, parser
>>> model = parser.parse_model('''
...     <ir_version: 10, opset_import: ["": 18]>
...     linear (float[N, 64] x) => (float[N, 64] y) { y = MatMul(x, weight) }
... ''')
>>> model.graph.initializer.extend([numpy_helper.from_array(np.eye(64, dtype=np.float32), "weight")])
>>> small = int8.apply(model)
>>> [node.op_type for node in small.graph.node], round(model.ByteSize() / small.ByteSize(), 1)
(['DynamicQuantizeLinear', 'MatMulInteger', 'Cast', 'Mul', 'Mul'], 3.5)
>>> from pathlib import Path
>>> from vljepa_quant import GraphEditor, WeightsFile
>>> editor = GraphEditor(model)  # `GraphEditor.open(path)` maps what lies beside a graph
>>> precisions_of("onnx")["int4"].edit(editor)
>>> with WeightsFile(Path("linear.weights")) as weights:
...     saved = editor.save(Path("linear.onnx"), weights)
>>> [node.op_type for node in saved.graph.node], weights.size
(['MatMulNBits'], 2048)

The names stand in `__init__.pyi`. Each is imported when it is first used: the table costs neither onnx nor NumPy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
