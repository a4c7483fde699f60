"""What `bundle.json` says: frozen dataclasses, read strictly and written back the same.

Knows nothing about files; `reader.py` compares what is said here with what is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vljepa_runtime.contract import check_graph
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files import records as read
from vljepa_runtime.files.records import check_file_name
from vljepa_runtime.patches import Preprocess
from vljepa_runtime.preprocess_limits import MAX_TOKENS

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
MAX_BUDGETS = 64  # token counts that a graph of fixed sizes is built for
MAX_TOKENIZER_BYTES = 64 << 20  # Gemma's, the largest of those that can be imported, has 33 MB

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


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
            raise BundleError(
                f"tensor {self.name}: expected one of {', '.join(DTYPES)}, got {read.shown(self.dtype)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: object, where: str) -> TensorSpec:
        """Read what `to_dict` wrote."""
        got = read.known_fields(cls, values, where)
        shape = read.items(got["shape"], read.dim, f"{where}.shape", limit=read.MAX_RANK)
        return cls(name=read.name(got["name"], where), dtype=read.name(got["dtype"], where), shape=shape)


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
            raise BundleError(f"expected target {' | '.join(TARGETS)}, got {read.shown(self.target)}")
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
        if type(values["format"]) is not int or values["format"] != FORMAT:
            raise BundleError(
                f"bundle.json: expected format {FORMAT}, got {read.shown(values['format'])}: "
                "upgrade vljepa-edge or export again"
            )
        got = read.known_fields(cls, values, "bundle.json")
        files = read.table(got["files"], FileSpec.from_dict, "files", limit=read.MAX_FILES)
        calibration = got["calibration"]
        manifest = cls(
            name=read.name(got["name"], "name"),
            license=read.string(got["license"], "license"),
            created=read.string(got["created"], "created", limit=read.MAX_NAME),
            source=Origin.from_dict(got["source"] if "source" in values else {}, "source"),
            target=read.name(got["target"], "target"),
            precision=read.table(got["precision"], read.name, "precision"),
            execution=read.table(got["execution"], read.name, "execution"),
            graphs=read.table(got["graphs"], GraphSpec.from_dict, "graphs"),
            preprocess=_preprocess(got["preprocess"]),
            tokenizers={
                k: check_file_name(v)
                for k, v in read.table(got["tokenizers"], read.name, "tokenizers").items()
            },
            embedding_dim=read.positive(got["embedding_dim"], "embedding_dim", limit=read.MAX_EMBEDDING),
            prompts=read.table(got["prompts"], read.text, "prompts"),
            calibration=None if calibration is None else Calibration.from_dict(calibration, "calibration"),
            parity=read.table(got["parity"], Parity.from_dict, "parity"),
            certified=read.verdict(got["certified"], "certified"),
            gates=read.table(got["gates"], read.number, "gates"),
            notes=read.table(got["notes"], read.text, "notes"),
            accuracy=read.table(got["accuracy"], read.number, "accuracy"),
            files={check_file_name(name): spec for name, spec in files.items()},
            toolchain=read.table(got["toolchain"], read.name, "toolchain"),
        )
        manifest._check_claims()
        return manifest

    def token_rows(self, tokenizer: str) -> int | None:
        """Rows of the token table that a tokenizer file's ids go into; None where the graphs do not say.

        A graph shows its table in its logits alone, so this is known of the Y-decoder's tokenizer.
        """
        prefill = self.graphs.get("y_decoder_prefill")
        listed = set(self.tokenizers.values())
        mine = self.tokenizers.get("y_decoder", next(iter(listed)) if len(listed) == 1 else None)
        if prefill is None or tokenizer != mine:
            return None
        rows = next(spec.shape[-1] for spec in prefill.outputs if spec.name == "logits")
        return rows if isinstance(rows, int) else None

    def _check_claims(self) -> None:
        """What one part says must fit the others, before anything is read or allocated by it."""
        sizes = {"P": self.preprocess.patch_dim, "S": self.embedding_dim}
        for name, graph in self.graphs.items():
            check_graph(name, graph, sizes)
        for name in set(self.tokenizers.values()):
            if name in self.files:
                read.whole(self.files[name].size, f"files.{name}.size", limit=MAX_TOKENIZER_BYTES)


def _plain(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _budget(value: object, where: str) -> int:
    return read.positive(value, where, limit=MAX_TOKENS)


def _preprocess(values: object) -> Preprocess:
    if not isinstance(values, Mapping):
        raise read.wrong("preprocess", "an object", values)
    try:
        return Preprocess.from_dict(values)
    except (InputError, TypeError, ValueError) as error:
        raise BundleError(f"{error}: export the bundle again") from error
