"""The parts of `bundle.json`: frozen dataclasses, read strictly and written back the same. Reads no file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from vljepa_runtime.contract import TensorSpec
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files import records as read
from vljepa_runtime.files.records import check_file_name
from vljepa_runtime.preprocess_limits import MAX_TOKENS

__all__ = ["Calibration", "Certified", "FileSpec", "GraphSpec", "Origin", "Parity"]

MAX_BUDGETS = 64  # token counts that a graph of fixed sizes is built for

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


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

    file: str
    external: tuple[str, ...] = ()
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    token_budgets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len({self.file, *self.external}) != 1 + len(self.external):
            raise BundleError(
                f"graph {read.shown(self.file)}: expected every file of it once, one is named again: "
                "export the bundle again"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "file": self.file,
            "external": list(self.external),
            "inputs": [spec.to_dict() for spec in self.inputs],
            "outputs": [spec.to_dict() for spec in self.outputs],
            "token_budgets": list(self.token_budgets),
        }

    @classmethod
    def from_dict(cls, values: object, where: str) -> GraphSpec:
        """Read what `to_dict` wrote."""
        got = read.known_fields(cls, values, where)
        return cls(
            file=check_file_name(read.name(got["file"], f"{where}.file")),
            external=tuple(map(check_file_name, read.items(got["external"], read.name, f"{where}.external"))),
            inputs=read.items(got["inputs"], TensorSpec.from_dict, f"{where}.inputs"),
            outputs=read.items(got["outputs"], TensorSpec.from_dict, f"{where}.outputs"),
            token_budgets=read.items(
                got["token_budgets"], _budget, f"{where}.token_budgets", limit=MAX_BUDGETS
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def from_dict(cls, values: object, where: str) -> FileSpec:
        """Read one entry of `files`."""
        got = read.known_fields(cls, values, where)
        digest = read.string(got["sha256"], f"{where}.sha256")
        if not _SHA256.match(digest):
            raise BundleError(f"{where}.sha256: expected 64 hexadecimal digits, got {read.shown(digest)}")
        return cls(size=read.whole(got["size"], f"{where}.size", limit=read.MAX_FILE_BYTES), sha256=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the weights came from."""

    checkpoint_sha256: str = ""
    importer: str = ""

    @classmethod
    def from_dict(cls, values: object, where: str) -> Origin:
        """Read `source`."""
        got = read.known_fields(cls, values, where)
        return cls(**{key: read.string(value, f"{where}.{key}") for key, value in got.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The data that fixed the quantisation ranges."""

    data: str
    samples: int
    seed: int = 0

    @classmethod
    def from_dict(cls, values: object, where: str) -> Calibration:
        """Read `calibration`."""
        got = read.known_fields(cls, values, where)
        return cls(
            data=read.text(got["data"], f"{where}.data"),
            samples=read.whole(got["samples"], f"{where}.samples"),
            seed=read.whole(got["seed"], f"{where}.seed"),
        )


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

    @classmethod
    def from_dict(cls, values: object, where: str) -> Parity:
        """Read one entry of `parity`."""
        got = read.known_fields(cls, values, where)
        return cls(**{key: read.number(value, f"{where}.{key}") for key, value in got.items()})


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
        said = read.verdict(value, where)
        return next(each for each, meant in _IN_JSON.items() if meant is said)


_IN_JSON = {Certified.YES: True, Certified.NO: False, Certified.NOT_JUDGED: None}


def _budget(value: object, where: str) -> int:
    return read.positive(value, where, limit=MAX_TOKENS)
