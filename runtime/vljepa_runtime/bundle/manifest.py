"""What `bundle.json` says as a whole, read strictly and written back the same; its parts are in `entries.py`.

Knows nothing about files; `reader.py` compares what is said here with what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vljepa_runtime.bundle.entries import Calibration, Certified, FileSpec, GraphSpec, Origin, Parity
from vljepa_runtime.contract import EMBEDDING_DIM, LOGITS, PATCH_DIM, PREFILL, Y_DECODER, check_graph
from vljepa_runtime.errors import BundleError, InputError
from vljepa_runtime.files import records as read
from vljepa_runtime.files.records import check_file_name
from vljepa_runtime.patches import Preprocess

__all__ = ["FORMAT", "TARGETS", "Manifest"]

FORMAT = 1
TARGETS = ("onnx", "openvino", "tensorrt", "tensorrt-rtx", "coreml")
EXECUTIONS = ("f32", "bf16", "f16")
MAX_TOKENIZER_BYTES = 64 << 20  # Gemma's, the largest of those that can be imported, has 33 MB


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
        certified: Whether the bundle kept its gates where it was made.
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
    certified: Certified = Certified.NOT_JUDGED
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
            "certified": self.certified.to_json(),
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
            certified=Certified.from_json(values.get("certified")),
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
        prefill = self.graphs.get(PREFILL)
        listed = set(self.tokenizers.values())
        mine = self.tokenizers.get(Y_DECODER, next(iter(listed)) if len(listed) == 1 else None)
        if prefill is None or tokenizer != mine:
            return None
        rows = next(spec.shape[-1] for spec in prefill.outputs if spec.name == LOGITS)
        return rows if isinstance(rows, int) else None

    def _check_claims(self) -> None:
        """What one part says must fit the others, before anything is read or allocated by it."""
        sizes = {PATCH_DIM: self.preprocess.patch_dim, EMBEDDING_DIM: self.embedding_dim}
        for name, graph in self.graphs.items():
            check_graph(name, graph.inputs, graph.outputs, sizes)
        for name in set(self.tokenizers.values()):
            if name in self.files:
                read.whole(self.files[name].size, f"files.{name}.size", limit=MAX_TOKENIZER_BYTES)


def _plain(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _preprocess(values: object) -> Preprocess:
    if not isinstance(values, Mapping):
        raise read.wrong("preprocess", "an object", values)
    try:
        return Preprocess.from_dict(values)
    except (InputError, TypeError, ValueError) as error:
        raise BundleError(f"{error}: export the bundle again") from error
