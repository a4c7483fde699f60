"""A bundle: the manifest, the files it lists, how they are read and how they are written. Knows no engine.

>>> from vljepa_runtime.bundle import Bundle, check_place, shipped_bundles
>>> shipped_bundles()
('tiny',)
>>> with Bundle.open("tiny") as bundle:
...     bundle.graph("predictor")
GraphSpec(file='predictor.onnx', external=(), inputs=(TensorSpec(name='visual', dtype='float32', ...
>>> said = bundle.manifest
>>> said.files["predictor.onnx"]
FileSpec(size=..., sha256='...')
>>> said.source
Origin(checkpoint_sha256='...', importer='vljepa')
>>> said.certified, said.parity["predictor"]  # it kept its gates: so near is int8 to the float model
(<Certified.YES: 'yes'>, Parity(cosine=0.99..., max_abs=0.0..., psnr_db=5...))
>>> said.novelty  # when a window shows nothing that the model knows
NoveltySpec(file='novelty.safetensors', threshold=..., windows=2384, data='procedural world, hand signs', kept=0.99...)
>>> check_place("clip.mp4", force=False)
Traceback (most recent call last):
vljepa_runtime.errors.BundleError: clip.mp4 exists: choose another name or pass force=True (--force)

The names stand in `__init__.pyi`: where a bundle may be written is asked before NumPy is loaded.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
