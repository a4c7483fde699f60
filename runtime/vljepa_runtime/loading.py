"""The name of a bundle becomes a model on an engine."""

from __future__ import annotations

import os

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.engines.advice import made_for
from vljepa_runtime.model import Model

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    engine: str = "auto",
    threads: int | None = None,
    allow_fallback: bool = False,
) -> Model:
    """Load a bundle on an engine.

    Args:
        path: A bundle's folder or zip, or a shipped name such as `tiny`.
        engine: `auto`, a name from `engine_names()`, or a word such as `cpu`, `cuda`, `npu` or `trt`.
        threads: Threads on a CPU; None lets the engine choose.
        allow_fallback: Go on with another engine when the one named is not available.

    Returns:
        The model, with X-encoder and predictor loaded.

    Raises:
        BundleError: the bundle is missing, damaged or lacks a graph.
        EngineError: the engine is not available or refuses a graph.
        InputError: no engine has that name.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model = vj.load("tiny", engine="onnxruntime:cpu")
        >>> model.engine_name, model.embedding_dim, model.has_decoder
        ('onnxruntime:cpu', 256, True)
    """
    bundle = Bundle.open(path)
    opened = open_engine(
        engine,
        allow_fallback=allow_fallback,
        threads=threads,
        target=bundle.manifest.target,
        made_for=made_for(bundle.manifest),
    )
    return Model(bundle, opened)
