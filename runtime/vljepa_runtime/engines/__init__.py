"""What computes graphs: one file an engine, opened by name. A new one is a file here and a row in `registry.py`.

>>> from vljepa_runtime import Bundle
>>> from vljepa_runtime.engines import available_engines, check_feeds, describe, families, open_engine
>>> families()[1]
Family(name='openvino', module='openvino', ..., devices=('cpu', 'gpu', 'npu'), targets=('openvino', 'onnx'), ...)
>>> "onnxruntime:cpu" in available_engines()
True
>>> engine = open_engine("onnxruntime:cpu", threads=1)
>>> describe(engine)
'onnxruntime:cpu (ONNX Runtime ..., CPUExecutionProvider)'
>>> with Bundle.open("tiny") as bundle:
...     graph = engine.load(bundle, "predictor")
>>> [(spec.name, spec.shape) for spec in graph.inputs]
[('visual', ('B', 'N', 192)), ('query_ids', ('B', 'L')), ('query_mask', ('B', 'L'))]
>>> check_feeds(graph.name, graph.inputs, {})
Traceback (most recent call last):
vljepa_runtime.errors.InputError: predictor: expected inputs visual, query_ids, query_mask, got none
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
