"""What the package offers, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import vljepa_runtime as vj

HEAVY = ("torch", "transformers", "onnx", "matplotlib", "safetensors")


def fresh(code: str) -> str:
    """Standard output of a fresh interpreter."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return result.stdout.strip()


@pytest.mark.parametrize("name", vj.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(getattr(vj, name), "__name__", name) == name
    assert name in dir(vj)


def test_the_version_is_that_of_the_distribution() -> None:
    assert vj.__version__ == version("vljepa-edge")


def test_type_checkers_see_each_name_once() -> None:
    """The stub says `name as name`, without which a type checker takes an import for private."""
    tree = ast.parse(Path(vj.__file__).with_suffix(".pyi").read_text())
    seen = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(vj.__all__) == sorted(alias.name for alias in seen)
    assert all(alias.name == alias.asname for alias in seen)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="attribute loda"):
        vj.loda  # noqa: B018


def test_using_everything_imports_nothing_heavy(small_zip: Path) -> None:
    code = (
        "import sys, numpy as np, vljepa_runtime as vj\n"
        "[getattr(vj, name) for name in vj.__all__]\n"
        f"model = vj.load({str(small_zip)!r}, engine='onnxruntime:cpu')\n"
        "model.decode(model.embed(np.zeros((4, 12, 12, 3), np.uint8)))\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert fresh(code) == "[]"


def test_importing_alone_loads_no_library() -> None:
    libraries = ("numpy", "cv2", "av", "onnxruntime", "tokenizers")
    code = f"import sys, vljepa_runtime; print([name for name in {libraries!r} if name in sys.modules])"
    assert fresh(code) == "[]"


@pytest.mark.parametrize(
    ("error", "also"),
    [("InputError", ValueError), ("MissingExtraError", ImportError), ("BundleError", Exception)],
)
def test_errors_share_a_base(error: str, also: type[Exception]) -> None:
    kind = getattr(vj, error)
    assert issubclass(kind, vj.VljepaError)
    assert issubclass(kind, also)
