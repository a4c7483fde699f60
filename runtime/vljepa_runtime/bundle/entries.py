"""The parts of `bundle.json`: frozen dataclasses, read strictly and written back the same. Reads no file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from vljepa_runtime.contract import MAX_TOKENS, TensorSpec
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.records import AtMost
from vljepa_runtime.files.values import Positive, PositiveNumber, Share, Text, name, shown, wrong

__all__ = [
    "Calibration",
    "Certified",
    "FileName",
    "FileSpec",
    "GraphSpec",
    "NoveltySpec",
    "Origin",
    "Parity",
    "check_file_name",
]

MAX_FILE_BYTES = 1 << 37  # 128 GiB: every byte is hashed, a sparse file of more would take minutes to refuse
MAX_BUDGETS = 64  # token counts that a graph of fixed sizes is built for
MAX_FILE_NAME = 200  # characters

_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def check_file_name(name: str) -> str:
    """Return `name` when it can only mean a file inside the bundle.

    Raises:
        BundleError: the name is absolute, climbs out, is hidden, or some system reads it otherwise.
    """
    safe = all(_SAFE_PART.match(part) for part in name.split("/"))
    if len(name) > MAX_FILE_NAME or not safe or name == "bundle.json":
        raise BundleError(
            "expected a plain file name inside the bundle (letters, digits, . _ + - and /), "
            f"got {shown(name)}: do not use this bundle, ask its maker for a clean one"
        )
    return name


def _file_name(value: object, where: str) -> str:
    return check_file_name(name(value, where))


def _sha256(value: object, where: str) -> str:
    if not isinstance(value, str) or not _SHA256.match(value):
        raise wrong(where, "64 hexadecimal digits", value)
    return value


FileName = Annotated[str, _file_name]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSpec:
    """One graph: its file, the data files beside it, and its contract.

    Attributes:
        file: The graph's file in the bundle.
        external: Files that the graph itself refers to (weights beside it).
        inputs: In the graph's order.
        outputs: In the graph's order.
        token_budgets: Token counts (N) it accepts; empty where N is free.
    """

    file: FileName
    external: tuple[FileName, ...] = ()
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    token_budgets: Annotated[tuple[Annotated[Positive, AtMost(MAX_TOKENS)], ...], AtMost(MAX_BUDGETS)] = ()

    def __post_init__(self) -> None:
        if len({self.file, *self.external}) != 1 + len(self.external):
            raise BundleError(
                f"graph {shown(self.file)}: expected every file of it once, one is named again: "
                "export the bundle again"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """Size in bytes and SHA-256 of a file."""

    size: Annotated[int, AtMost(MAX_FILE_BYTES)]
    sha256: Annotated[str, _sha256]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the weights came from."""

    checkpoint_sha256: str = ""
    importer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The data that fixed the quantisation ranges."""

    data: Text
    samples: int
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoveltySpec:
    """When a window shows nothing that the model knows; the distances are those of `novelty.Novelty`.

    Attributes:
        file: Its arrays in the bundle.
        threshold: Distance above which a window is unknown.
        windows: How many it was calibrated on.
        data: What they showed.
        kept: Share of them within the threshold, each judged by a fit to others.
    """

    file: FileName
    threshold: PositiveNumber
    windows: Positive
    data: Text
    kept: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How near a graph is to the float model.

    Attributes:
        cosine: Smallest cosine over the samples.
        max_abs: Largest absolute difference.
        psnr_db: Peak signal to noise ratio in dB.
    """

    cosine: float
    max_abs: float
    psnr_db: float


class Certified(str, Enum):
    """Whether a bundle kept its gates where it was made. `YES` alone is true in a condition."""

    YES = "yes"
    NO = "no"
    NOT_JUDGED = (
        "not judged"  # not all could be measured there (built, not run), or it is older than the gates
    )

    def __bool__(self) -> bool:
        return self is Certified.YES

    def to_json(self) -> bool | None:
        """As `bundle.json` and `--json` say it: true, false or null."""
        return _IN_JSON[self]

    @classmethod
    def from_json(cls, value: object, where: str = "certified") -> Certified:
        """Read what `to_json` gave."""
        if (said := next((each for each, meant in _IN_JSON.items() if meant is value), None)) is None:
            raise wrong(where, "true, false or null", value)
        return said


_IN_JSON = {Certified.YES: True, Certified.NO: False, Certified.NOT_JUDGED: None}
