"""Graphs of a bundle, looked at before an engine sees them. Knows file formats, and neither engines nor a network.

A graph file is a program that a stranger wrote: it may name other files, loop, or ask for gigabytes in a few hundred
bytes. Each format has one reader here, which takes a strict subset (what the exporters write) and refuses the rest.

>>> from vljepa_runtime import Bundle
>>> from vljepa_runtime.graphs import check_graphs
>>> with Bundle.open("tiny") as bundle:
...     check_graphs(bundle)  # nothing to say of it
...     files = {name: bundle.read(name) for name in bundle.manifest.files}
>>> files["predictor.onnx"] = b"no graph"
>>> check_graphs(Bundle.in_memory(bundle.manifest, files))
Traceback (most recent call last):
vljepa_runtime.errors.BundleError: tiny/predictor: ...: export it again, or ask its maker for a clean one
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
