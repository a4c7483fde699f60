"""The packages that Optimum needs in versions of their own, kept apart from what is installed.

The newest `optimum-onnx` takes no transformers from 4.58 on. Five packages of a few megabytes are put into a folder of
the user's cache, once, and stand before the installed ones in a process that runs such a line; torch, ONNX and ONNX
Runtime stay those of this environment.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from vljepa_apps import console
from vljepa_runtime.errors import InputError, MissingExtraError, VljepaError

__all__ = ["PACKAGES", "EnvironmentMissingError", "activate", "cache_folder", "made"]

PACKAGES = (
    "huggingface_hub==0.36.2",
    "optimum==2.1.0",
    "optimum-onnx==0.1.0",
    "tokenizers==0.22.2",
    "transformers==4.57.6",
)
BELOW = ("torch", "onnx", "PIL", "regex", "requests", "safetensors")
EXTRA = "baselines"
LIMIT_S = 600.0


class EnvironmentMissingError(VljepaError):
    """The packages could not be fetched."""


def cache_folder(name: str) -> Path:
    """Where a kind of thing is kept for this user."""
    return Path.home() / ".cache" / "vljepa" / name


def activate() -> None:
    """Make transformers and Optimum those of `PACKAGES`, for this process; what fits already is taken as it is.

    Raises:
        MissingExtraError: what lies under them is not installed.
        EnvironmentMissingError: they could not be fetched.
        InputError: another transformers is loaded already.
    """
    for module in BELOW:
        if find_spec(module) is None:
            raise MissingExtraError(module, EXTRA)
    if _fits():
        return
    if loaded := sorted({"transformers", "huggingface_hub", "optimum"} & {*sys.modules}):
        raise InputError(
            f"expected no {loaded[0]} loaded before a line of transformers, got {version(loaded[0])}: "
            "run it in a process of its own"
        )
    sys.path.insert(0, str(made()))
    importlib.invalidate_caches()


def made() -> Path:
    """The folder of the packages, fetched now where that was not done yet.

    Raises:
        EnvironmentMissingError: they could not be fetched.
    """
    key = hashlib.sha256("\n".join((*PACKAGES, sys.version, sysconfig.get_platform())).encode()).hexdigest()[
        :16
    ]
    kept = cache_folder("environments") / key
    if kept.is_dir():
        return kept
    console.note(f"  fetching {', '.join(PACKAGES)} into {kept}, once")
    kept.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".making-"))
    try:
        _fetch(making)
        if not kept.is_dir():  # another process may have been faster
            making.rename(kept)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return kept


def _fits() -> bool:
    """Whether the installed ones are in the versions wanted."""
    try:
        return all(version(name) == wanted for name, _, wanted in (each.partition("==") for each in PACKAGES))
    except PackageNotFoundError:
        return False


def _fetch(folder: Path) -> None:
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    try:
        found = subprocess.run(
            [*pip, "--no-deps", "--no-compile", "--target", str(folder), *PACKAGES],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentMissingError(_sentence(str(error))) from error
    if found.returncode:
        raise EnvironmentMissingError(
            _sentence((found.stderr.strip().splitlines() or ["pip said nothing"])[-1])
        )


def _sentence(reason: str) -> str:
    return (
        f"the packages of such lines could not be fetched: {reason}: connect to a package index once, or put "
        f"{' '.join(PACKAGES)} into an environment that holds this project"
    )
