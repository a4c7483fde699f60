"""What `bundle.json` says as a whole, read strictly and written back the same; its parts are in `entries.py`.

Knows nothing about files; `reader.py` compares what is said here with what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from vljepa_runtime.bundle.entries import (
    Calibration,
    Certified,
    FileName,
    FileSpec,
    GraphSpec,
    NoveltySpec,
    Origin,
    Parity,
)
from vljepa_runtime.contract import EMBEDDING_DIM, LOGITS, PATCH_DIM, PREFILL, Y_DECODER, check_graph
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.records import AtMost, plain, read_record
from vljepa_runtime.files.values import MAX_NAME, Name, Positive, Text, shown
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.targets import TARGETS

__all__ = ["FORMAT", "Manifest"]

FORMAT = 1
EXECUTIONS = ("f32", "bf16", "f16")
MAX_FILES = 256  # a bundle has some 20; a Core ML package or sharded weights a few dozen
MAX_EMBEDDING = 1 << 16  # values; the paper's model has 1,536
MAX_TOKENIZER_BYTES = 64 << 20  # Gemma's, the largest of those that can be imported, has 33 MB
# Older readers refuse these: they are left out where they say nothing.
LATER = (
    "execution",
    "parity_data",
    "certified",
    "gates",
    "constants",
    "notes",
    "knows_only",
    "novelty",
    "boundaries",
)
AGAIN = "export the bundle again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All of `bundle.json`.

    Attributes:
        name: Short name of the model.
        license: SPDX expression of the weights.
        created: ISO 8601 time.
        source: Where the weights came from.
        knows_only: All that the weights have ever seen, where that is so little that what they say of anything else
            means nothing; empty for a model of the world at large.
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
        parity_data: What that was measured on; empty for the procedural world.
        certified: Whether the bundle kept its gates where it was made.
        gates: What those gates measured end to end, by name.
        constants: Per graph, how many of its constants were compared with the float model's, every element, and found
            to be what was meant; graphs that were not are left out.
        novelty: When a window shows nothing that the model knows; None where that was not calibrated.
        boundaries: File of what tells the events of a stream apart (`selection.Boundaries`); None without one.
        notes: Per graph, what a user should know: why it stayed in float, what was built and not run.
        accuracy: Measured numbers by name; empty when not measured.
        files: Size and SHA-256 per file; `write_bundle` fills it.
        toolchain: Version per tool that made the bundle.
        format: Version of this layout.

    Examples:
        >>> import vljepa_runtime as vj
        >>> with vj.Bundle.open("tiny") as bundle:
        ...     manifest = bundle.manifest
        >>> manifest.target, manifest.precision["predictor"], manifest.prompts["caption"]
        ('onnx', 'int8-dynamic', 'Describe this video in one sentence.')
        >>> vj.Manifest.from_dict(manifest.to_dict()) == manifest
        True
    """

    name: Name
    license: str
    created: Annotated[str, AtMost(MAX_NAME)]
    source: Origin = field(default_factory=Origin)
    knows_only: Annotated[str, AtMost(MAX_NAME)] = ""
    target: Name = "onnx"
    precision: Mapping[Name, Name] = field(default_factory=dict)
    execution: Mapping[Name, Name] = field(default_factory=dict)
    graphs: Mapping[Name, GraphSpec]
    preprocess: Preprocess
    tokenizers: Mapping[Name, FileName]
    embedding_dim: Annotated[Positive, AtMost(MAX_EMBEDDING)]
    prompts: Mapping[Name, Text] = field(default_factory=dict)
    calibration: Calibration | None = None
    parity: Mapping[Name, Parity] = field(default_factory=dict)
    parity_data: Annotated[str, AtMost(MAX_NAME)] = ""
    certified: Annotated[Certified, Certified.from_json] = Certified.NOT_JUDGED
    gates: Mapping[Name, float] = field(default_factory=dict)
    constants: Mapping[Name, int] = field(default_factory=dict)
    novelty: NoveltySpec | None = None
    boundaries: FileName | None = None
    notes: Mapping[Name, Text] = field(default_factory=dict)
    accuracy: Mapping[Name, float] = field(default_factory=dict)
    files: Annotated[Mapping[FileName, FileSpec], AtMost(MAX_FILES)] = field(default_factory=dict)
    toolchain: Mapping[Name, Name] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise BundleError(f"expected target {' | '.join(TARGETS)}, got {shown(self.target)}")
        if wrong := sorted(set(self.execution.values()) - set(EXECUTIONS)):
            raise BundleError(f"expected execution in {' | '.join(EXECUTIONS)}, got {', '.join(wrong)[:80]}")
        if len({name.casefold() for name in self.files}) != len(self.files):
            raise BundleError(
                "expected file names that differ in more than case: rename them and build again"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to `bundle.json`."""
        found: dict[str, Any] = {**plain(self), "preprocess": self.preprocess.to_dict()}
        found["certified"] = self.certified.to_json()
        first = {"format": found.pop("format")}
        last = {name: value for name in LATER if (value := found.pop(name)) not in ({}, None, "")}
        return first | found | last

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
                f"bundle.json: expected format {FORMAT}, got {shown(values['format'])}: "
                "upgrade vljepa-edge or export again"
            )
        manifest = read_record(cls, values, "bundle.json", error=BundleError, advice=AGAIN)
        manifest._check_claims()
        return manifest

    @property
    def precision_text(self) -> str:
        """Every recipe once, for people; `n/a` where none is named."""
        return ", ".join(dict.fromkeys(self.precision.values())) or "n/a"

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
            if name in self.files and (size := self.files[name].size) > MAX_TOKENIZER_BYTES:
                raise BundleError(
                    f"files.{name}.size: expected at most {MAX_TOKENIZER_BYTES}, got {size}: {AGAIN}"
                )
