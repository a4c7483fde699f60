"""Checkpoint in, bundle out: every graph exported, made small and compared with torch before anything is written.

>>> from vljepa_export import FORMATS, find_format
>>> for name, form in FORMATS.items():
...     print(f"{name}: {', '.join(form.precisions)}")
onnx: int8, int4, fp16, bf16, fp32
openvino: int8, int8-weights, fp16, bf16, fp32
tensorrt: fp16, int8, fp8, int4, fp32
tensorrt-rtx: fp16, int8, fp8, int4, fp32
coreml: fp16, int8, int8-block32, w8a8, palette6, palette4, fp32
>>> find_format("rtx")
Format(name='tensorrt-rtx', ..., runs_on='NVIDIA RTX GPUs', ...)

The names stand in `__init__.pyi`. Each is imported when it is first used: the table of formats costs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
