"""What `bundle.json` says: frozen dataclasses, read strictly and written back the same.

Knows nothing about files; `bundle.py` compares what is said here with what is there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.patches import Preprocess

__all__ = [
    "FORMAT",
    "Calibration",
    "FileSpec",
    "GraphSpec",
    "Manifest",
    "Origin",
    "Parity",
    "TensorSpec",
    "check_file_name",
]

FORMAT = 1
TARGETS = ("onnx", "openvino", "tensorrt", "tensorrt-rtx", "coreml")
EXECUTIONS = ("f32", "bf16", "f16")
DTYPES = ("uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "bool")
MAX_FILES = 256
MAX_NAME = 200

T = TypeVar("T")
_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def check_file_name(name: str) -> str:
    """Return `name` when it can only mean a file inside the bundle.

    Raises:
        BundleError: the name is absolute, climbs out, is hidden, or some system reads it otherwise.
    """
    parts = name.split("/")
    if len(name) > MAX_NAME or not all(_SAFE_PART.match(part) for part in parts) or name == "bundle.json":
        raise BundleError(
            f"expected a plain file name inside the bundle (letters, digits, . _ + - and /), got {name!r}: "
            "do not use this bundle, ask its maker for a clean one"
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a graph.

    Attributes:
        name: As in the graph.
        dtype: NumPy's name of the type, or `bfloat16`.
        shape: A number, or a symbol such as `B` where the size is free.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise BundleError(f"tensor {self.name}: expected one of {', '.join(DTYPES)}, got {self.dtype!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: object, where: str) -> TensorSpec:
        """Read what `to_dict` wrote."""
        got = _checked(cls, values, where)
        shape = _items(got["shape"], _dim, f"{where}.shape")
        return cls(name=_text(got["name"], where), dtype=_text(got["dtype"], where), shape=shape)


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
        got = _checked(cls, values, where)
        return cls(
            file=check_file_name(_text(got["file"], f"{where}.file")),
            external=tuple(map(check_file_name, _items(got["external"], _text, f"{where}.external"))),
            inputs=_items(got["inputs"], TensorSpec.from_dict, f"{where}.inputs"),
            outputs=_items(got["outputs"], TensorSpec.from_dict, f"{where}.outputs"),
            token_budgets=_items(got["token_budgets"], _positive, f"{where}.token_budgets"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def from_dict(cls, values: object, where: str) -> FileSpec:
        """Read one entry of `files`."""
        got = _checked(cls, values, where)
        digest = _text(got["sha256"], f"{where}.sha256")
        if not _SHA256.match(digest):
            raise BundleError(f"{where}.sha256: expected 64 hexadecimal digits, got {digest[:80]!r}")
        return cls(size=_whole(got["size"], f"{where}.size"), sha256=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the weights came from."""

    checkpoint_sha256: str = ""
    importer: str = ""

    @classmethod
    def from_dict(cls, values: object, where: str) -> Origin:
        """Read `source`."""
        got = _checked(cls, values, where)
        return cls(**{key: _string(value, f"{where}.{key}") for key, value in got.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The data that fixed the quantisation ranges."""

    data: str
    samples: int
    seed: int = 0

    @classmethod
    def from_dict(cls, values: object, where: str) -> Calibration:
        """Read `calibration`."""
        got = _checked(cls, values, where)
        return cls(
            data=_text(got["data"], f"{where}.data"),
            samples=_whole(got["samples"], f"{where}.samples"),
            seed=_whole(got["seed"], f"{where}.seed"),
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
        got = _checked(cls, values, where)
        return cls(**{key: _number(value, f"{where}.{key}") for key, value in got.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All of `bundle.json`.

    Attributes:
        name: Short name of the model.
        license: SPDX expression of the weights.
        created: ISO 8601 time.
        source: Where the weights came from.
        target: What the graphs are written for: onnx, openvino, tensorrt, tensorrt-rtx, coreml.
        precision: Recipe per graph, for example `fp32` or `int8-dynamic`.
        execution: Per graph, what an engine computes in where nothing is quantised (f32, bf16, f16); f32 where not
            named.
        graphs: Contract per graph name.
        preprocess: How frames become tokens.
        tokenizers: Tokenizer file per role (`predictor`, `y_encoder`, `y_decoder`); roles may share a file.
        embedding_dim: Length of an embedding (S).
        prompts: Default query per task (`caption`, `classify`, `retrieval`).
        calibration: None when nothing was calibrated.
        parity: Per graph, against the float model.
        certified: Whether the bundle kept its gates where it was made; None when they could not be measured there
            (built, not run) or it is older than the gates.
        gates: What those gates measured end to end, by name.
        notes: Per graph, what a user should know: why it stayed in float, what was built and not run.
        accuracy: Measured numbers by name; empty when not measured.
        files: Size and SHA-256 per file; `write_bundle` fills it.
        toolchain: Version per tool that made the bundle.
        format: Version of this layout.
    """

    name: str
    license: str
    created: str
    source: Origin = field(default_factory=Origin)
    target: str = "onnx"
    precision: Mapping[str, str] = field(default_factory=dict)
    execution: Mapping[str, str] = field(default_factory=dict)
    graphs: Mapping[str, GraphSpec]
    preprocess: Preprocess
    tokenizers: Mapping[str, str]
    embedding_dim: int
    prompts: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None
    parity: Mapping[str, Parity] = field(default_factory=dict)
    certified: bool | None = None
    gates: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, FileSpec] = field(default_factory=dict)
    toolchain: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise BundleError(f"expected target {' | '.join(TARGETS)}, got {self.target!r}")
        if wrong := sorted(set(self.execution.values()) - set(EXECUTIONS)):
            raise BundleError(f"expected execution in {' | '.join(EXECUTIONS)}, got {', '.join(wrong)[:80]}")
        if len({name.casefold() for name in self.files}) != len(self.files):
            raise BundleError(
                "expected file names that differ in more than case: rename them and build again"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to `bundle.json`."""
        later: dict[str, Any] = {  # what older readers refuse is left out where it says nothing
            "execution": dict(self.execution),
            "certified": self.certified,
            "gates": dict(self.gates),
            "notes": dict(self.notes),
        }
        return {
            "format": self.format,
            "name": self.name,
            "license": self.license,
            "created": self.created,
            "source": _plain(self.source),
            "target": self.target,
            "precision": dict(self.precision),
            "graphs": {name: spec.to_dict() for name, spec in self.graphs.items()},
            "preprocess": self.preprocess.to_dict(),
            "tokenizers": dict(self.tokenizers),
            "embedding_dim": self.embedding_dim,
            "prompts": dict(self.prompts),
            "calibration": None if self.calibration is None else _plain(self.calibration),
            "parity": {name: _plain(parity) for name, parity in self.parity.items()},
            "accuracy": dict(self.accuracy),
            "files": {name: _plain(spec) for name, spec in self.files.items()},
            "toolchain": dict(self.toolchain),
            **{name: value for name, value in later.items() if value not in ({}, None)},
        }

    @classmethod
    def from_dict(cls, values: object) -> Manifest:
        """Read what `to_dict` wrote.

        Raises:
            BundleError: the format is newer, or a key is unknown, missing or of another type.
        """
        if not isinstance(values, Mapping) or "format" not in values:
            raise BundleError("bundle.json: expected an object with `format`: this is not a vljepa bundle")
        if values["format"] != FORMAT or isinstance(values["format"], bool):
            raise BundleError(
                f"bundle.json: expected format {FORMAT}, got {values['format']!r}: "
                "upgrade vljepa-edge or export again"
            )
        got = _checked(cls, values, "bundle.json")
        files = _table(got["files"], FileSpec.from_dict, "files")
        if len(files) > MAX_FILES:
            raise BundleError(
                f"files: expected at most {MAX_FILES} files, got {len(files)}: this is no bundle of ours"
            )
        calibration = got["calibration"]
        return cls(
            name=_text(got["name"], "name"),
            license=_string(got["license"], "license"),
            created=_string(got["created"], "created"),
            source=Origin.from_dict(got["source"] if "source" in values else {}, "source"),
            target=_text(got["target"], "target"),
            precision=_table(got["precision"], _text, "precision"),
            execution=_table(got["execution"], _text, "execution"),
            graphs=_table(got["graphs"], GraphSpec.from_dict, "graphs"),
            preprocess=_preprocess(got["preprocess"]),
            tokenizers={
                k: check_file_name(v) for k, v in _table(got["tokenizers"], _text, "tokenizers").items()
            },
            embedding_dim=_positive(got["embedding_dim"], "embedding_dim"),
            prompts=_table(got["prompts"], _text, "prompts"),
            calibration=None if calibration is None else Calibration.from_dict(calibration, "calibration"),
            parity=_table(got["parity"], Parity.from_dict, "parity"),
            certified=_verdict(got["certified"], "certified"),
            gates=_table(got["gates"], _number, "gates"),
            notes=_table(got["notes"], _text, "notes"),
            accuracy=_table(got["accuracy"], _number, "accuracy"),
            files={check_file_name(name): spec for name, spec in files.items()},
            toolchain=_table(got["toolchain"], _text, "toolchain"),
        )


def _plain(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _checked(cls: type[Any], values: object, where: str) -> dict[str, Any]:
    """The values of `cls`'s fields: unknown and missing keys refused, defaults filled in."""
    if not isinstance(values, Mapping):
        raise _wrong(where, "an object", values)
    known = {item.name: item for item in fields(cls)}
    if unknown := sorted(str(key) for key in set(values) - set(known)):
        raise BundleError(
            f"{where}: unknown keys {', '.join(unknown)[:200]}; known: {', '.join(known)}: "
            "upgrade vljepa-edge or export again"
        )
    result = {}
    for name, item in known.items():
        if name in values:
            result[name] = values[name]
        elif item.default is not MISSING:
            result[name] = item.default
        elif item.default_factory is not MISSING:
            result[name] = item.default_factory()
        else:
            raise BundleError(f"{where}: `{name}` is missing: export the bundle again")
    return result


def _wrong(where: str, expected: str, got: object) -> BundleError:
    return BundleError(f"{where}: expected {expected}, got {repr(got)[:80]}: export the bundle again")


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "text", value)
    return value


def _text(value: object, where: str) -> str:
    if not _string(value, where):
        raise _wrong(where, "text that is not empty", value)
    return str(value)


def _whole(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise _wrong(where, "a whole number of at least 0", value)
    return value


def _positive(value: object, where: str) -> int:
    if _whole(value, where) == 0:
        raise _wrong(where, "a whole number above 0", value)
    return int(value)  # type: ignore[call-overload,no-any-return]


def _number(value: object, where: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise _wrong(where, "a finite number", value)
    return float(value)


def _verdict(value: object, where: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _wrong(where, "true, false or null", value)
    return value


def _dim(value: object, where: str) -> int | str:
    return _text(value, where) if isinstance(value, str) else _positive(value, where)


def _items(value: object, read: Callable[[object, str], T], where: str) -> tuple[T, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(where, "a list", value)
    return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))


def _table(value: object, read: Callable[[object, str], T], where: str) -> dict[str, T]:
    if not isinstance(value, Mapping):
        raise _wrong(where, "an object", value)
    return {_text(key, where): read(item, f"{where}.{key}") for key, item in value.items()}


def _preprocess(values: object) -> Preprocess:
    if not isinstance(values, Mapping):
        raise _wrong("preprocess", "an object", values)
    try:
        return Preprocess.from_dict(values)
    except (InputError, TypeError, ValueError) as error:
        raise BundleError(f"{error}: export the bundle again") from error
