"""What an export was asked for, checked before anything slow is imported or read. Knows no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vljepa_data.annotations import AnnotationFile
from vljepa_export.errors import ExportError
from vljepa_export.formats import Format, find_format
from vljepa_model.errors import CheckpointError
from vljepa_model.shipped import checkpoint_folder
from vljepa_quant import Precision
from vljepa_runtime.bundle import check_place
from vljepa_runtime.contract import GRAPH_NAMES
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files import parse_json
from vljepa_runtime.suggestions import did_you_mean

NAME = re.compile(r"[\w][\w.-]*")

__all__ = [
    "ExportRequest",
    "default_output",
    "precision_per_graph",
    "prepare",
    "chosen_budgets",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Checked arguments of an export.

    Attributes:
        folder: The checkpoint.
        target: The bundle to write.
        format: Of the bundle.
        precisions: Of every graph.
        may_fall_back: A graph that misses the gates of its precision takes the format's next milder one.
        token_budgets: Token counts to build for; empty where the format leaves them free, or for its own choice.
        calibrate: Clips of one's own to measure and calibrate on.
    """

    folder: Path
    target: Path
    format: Format
    precisions: Mapping[str, Precision]
    may_fall_back: bool
    token_budgets: tuple[int, ...] = ()
    calibrate: AnnotationFile | None = None

    @property
    def is_calibrated(self) -> bool:
        """Whether the ranges of a graph come from samples."""
        return any(precision.calibrated for precision in self.precisions.values())


def prepare(
    checkpoint: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",
    precision: str | Mapping[str, str] | None = None,
    token_budgets: tuple[int, ...] = (),
    calibrate: AnnotationFile | None = None,
    force: bool = False,
) -> ExportRequest:
    """Check the arguments of `export_bundle`.

    Raises:
        ExportError: the format, a precision, a graph or the checkpoint is unknown, or `out` must not be written.
    """
    row = find_format(format)
    chosen = row.precisions[0] if precision is None else precision
    if token_budgets and row.free_shapes:
        raise ExportError(
            f"{row.name} takes any number of tokens: leave the token budgets ({token_budgets}) out"
        )
    if any(count < 1 for count in token_budgets) or len(set(token_budgets)) < len(token_budgets):
        raise ExportError(f"expected different token budgets of at least 1, got {token_budgets}")
    return ExportRequest(
        format=row,
        precisions=precision_per_graph(chosen, row),
        folder=_resolve_checkpoint(checkpoint),
        target=_writable(out, force=force),
        may_fall_back=isinstance(chosen, str),
        token_budgets=token_budgets,
        calibrate=calibrate,
    )


def chosen_budgets(request: ExportRequest, tokens: int) -> tuple[int, ...]:
    """Token counts to build for: those asked for, else all and half of a window; none where the format needs none.

    Raises:
        ExportError: a window has fewer tokens.
    """
    if request.format.free_shapes:
        return ()
    if wrong := [count for count in request.token_budgets if count > tokens]:
        raise ExportError(f"expected token budgets of 1 .. {tokens}, got {', '.join(map(str, wrong))}")
    return request.token_budgets or (tokens, max(1, tokens // 2))


def precision_per_graph(precision: str | Mapping[str, str], row: Format) -> dict[str, Precision]:
    """The precision of every graph; those that a mapping leaves out stay fp32.

    Raises:
        ExportError: a graph is unknown, or the format has no such precision.
    """
    if isinstance(precision, str):
        return dict.fromkeys(GRAPH_NAMES, row.precision(precision))
    for name in precision:
        if name not in GRAPH_NAMES:
            raise ExportError(
                f"there is no graph {name!r}{did_you_mean(name, GRAPH_NAMES, lead=': ')}; "
                f"graphs: {', '.join(GRAPH_NAMES)}"
            )
    return {name: row.precision(precision.get(name, "fp32")) for name in GRAPH_NAMES}


def default_output(
    checkpoint: str | Path, precision: str | Mapping[str, str] | None = None, *, format: str = "onnx"
) -> Path:
    """`tiny.vljepa` in the working folder; `tiny-fp32.vljepa`, `tiny-openvino.vljepa`, ... for what is not the default.

    The checkpoint of a run is called what the run calls it: `runs/door/checkpoint` gives `door.vljepa`.

    Raises:
        ExportError: the format is unknown.
    """
    row = find_format(format)
    parts = [_name_of(Path(checkpoint).resolve())]
    if row.name != "onnx":
        parts.append(row.name)
    if precision is not None and precision != row.precisions[0]:
        parts.append(precision if isinstance(precision, str) else "mixed")
    return Path("-".join(parts) + ".vljepa")


def _name_of(folder: Path) -> str:
    """The folder's name; of a run's `checkpoint`, the name that its file says, or the run's folder."""
    if folder.name != "checkpoint":
        return folder.name
    try:
        said = parse_json((folder / "config.json").read_text(encoding="utf-8"))["metadata"]["name"]
    except (OSError, ValueError, KeyError, TypeError):  # what is wrong with it is said when it is opened
        said = ""
    return said if isinstance(said, str) and NAME.fullmatch(said) else folder.parent.name


def _writable(out: str | Path, *, force: bool) -> Path:
    """The path to write, when it may and can be written.

    Raises:
        ExportError: something is there and `force` is off, or it is a folder that is not a bundle.
        InputError: the place cannot be written.
    """
    try:
        check_place(out, force=force)
    except BundleError as error:
        raise ExportError(str(error)) from error
    return Path(out)


def _resolve_checkpoint(name: str | Path) -> Path:
    """A checkpoint's folder from its path or shipped name.

    Raises:
        ExportError: there is neither.
    """
    try:
        return checkpoint_folder(name)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
