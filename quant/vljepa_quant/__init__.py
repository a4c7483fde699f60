"""Quantisation of exported graphs: the table of precisions, and one file per method.

    from vljepa_quant import precisions_of
    small = precisions_of("onnx")["int8"].apply(onnx.load("x_encoder.onnx"))

The names stand in `__init__.pyi`. Each is imported when it is first used: the table costs neither onnx nor NumPy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
