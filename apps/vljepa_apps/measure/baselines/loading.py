"""How models, processors and sessions of a line are opened: from local files alone, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_runtime.engines.session_options import session_options
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_apps.measure.baselines.folder import Folder

__all__ = [
    "load_image_processor",
    "load_model",
    "load_processor",
    "load_tokenizer",
    "onnx_detail",
    "onnx_session",
    "torch_detail",
]

TOKENIZER_OF_5 = "TokenizersBackend"
"""The class that transformers 5 names in a folder for what is in `tokenizer.json`; 4 has it by another name."""


def load_model(folder: Folder, *, threads: int | None = None) -> Any:
    """The whole model for inference; weights are read from safetensors alone, and no code of the folder is run.

    Raises:
        InputError: transformers cannot load it.
    """
    import torch
    from transformers import AutoModel, AutoModelForImageTextToText

    if threads is not None:
        torch.set_num_threads(threads)
    kind = AutoModelForImageTextToText if folder.family.words else AutoModel
    return _loaded(kind, folder, dtype=torch.float32, use_safetensors=True).eval()


def load_processor(folder: Folder) -> Any:
    """A token VLM's own processor of pictures and texts together.

    Raises:
        InputError: the folder has none.
    """
    from transformers import AutoProcessor

    return _loaded(AutoProcessor, folder)


def load_image_processor(folder: Folder) -> Any:
    """What its `preprocessor_config.json` says of pictures, or of a clip; raises as `load_processor`."""
    from transformers import AutoImageProcessor

    return _loaded(AutoImageProcessor, folder)


def load_tokenizer(folder: Folder) -> Any:
    """Its tokenizer; raises as `load_processor`."""
    from transformers import AutoTokenizer

    return _loaded(AutoTokenizer, folder)


def _loaded(kind: Any, folder: Folder, **options: Any) -> Any:
    import transformers
    from transformers.utils import logging

    if not hasattr(transformers, TOKENIZER_OF_5):
        setattr(transformers, TOKENIZER_OF_5, _tokenizer_of_5())
    logging.set_verbosity_error()  # what matters is raised
    try:
        return kind.from_pretrained(
            str(folder.path), local_files_only=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, ImportError) as error:
        what = str(error).strip().splitlines()[0]
        raise InputError(f"transformers cannot load {folder.path} ({kind.__name__}): {what}") from error


def _tokenizer_of_5() -> type:
    """That class for transformers 4: further tokens are a list there, which had another name."""
    from transformers import PreTrainedTokenizerFast

    class TokenizersBackend(PreTrainedTokenizerFast):  # type: ignore[misc, no-any-unimported, unused-ignore]
        def __init__(self, *args: Any, extra_special_tokens: Any = None, **options: Any) -> None:
            if isinstance(extra_special_tokens, list):
                options["additional_special_tokens"] = extra_special_tokens
            elif extra_special_tokens:
                options["extra_special_tokens"] = extra_special_tokens
            super().__init__(*args, **options)

    return TokenizersBackend


def torch_detail() -> str:
    """Library, version, type and threads."""
    import torch

    return f"torch {torch.__version__.split('+')[0]} eager fp32, {torch.get_num_threads()} threads"


def onnx_detail() -> str:
    """Library, version and exporter."""
    from importlib.metadata import version

    import onnxruntime

    return f"onnxruntime:cpu {onnxruntime.__version__}, exported by Optimum {version('optimum-onnx')}"


def onnx_session(path: Path, threads: int | None) -> Any:
    """A session with the options of this project's engine."""
    import onnxruntime

    options = session_options(threads)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
