"""What an export was asked for, checked before anything slow is imported or read. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from vljepa_export.errors import ExportError
from vljepa_quant import Recipe, recipe

__all__ = ["FORMATS", "GRAPH_NAMES", "ExportRequest", "default_output", "precision_per_graph", "prepare"]

GRAPH_NAMES = ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step")
FORMATS = ("onnx",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Checked arguments of an export.

    Attributes:
        folder: The checkpoint.
        target: The bundle to write.
        recipes: One per graph.
        may_fall_back: A graph that misses the parity of its recipe stays in fp32, instead of ending the export.
    """

    folder: Path
    target: Path
    recipes: Mapping[str, Recipe]
    may_fall_back: bool


def prepare(
    checkpoint: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",
    precision: str | Mapping[str, str] = "int8",
    force: bool = False,
) -> ExportRequest:
    """Check the arguments of `export_bundle`.

    Raises:
        ExportError: the format, a graph or the checkpoint is unknown, or `out` must not be written.
        QuantError: there is no such precision.
    """
    if format not in FORMATS:
        raise ExportError(f"expected format {' | '.join(FORMATS)}, got {format!r}{_hint(format, FORMATS)}")
    return ExportRequest(
        recipes=precision_per_graph(precision),
        folder=_resolve_checkpoint(checkpoint),
        target=_refuse_existing(out, force=force),
        may_fall_back=isinstance(precision, str),
    )


def precision_per_graph(precision: str | Mapping[str, str]) -> dict[str, Recipe]:
    """The recipe of every graph; those that a mapping leaves out stay fp32.

    Raises:
        ExportError: a graph is unknown.
        QuantError: a recipe is unknown.
    """
    if isinstance(precision, str):
        return dict.fromkeys(GRAPH_NAMES, recipe(precision))
    for name in precision:
        if name not in GRAPH_NAMES:
            raise ExportError(
                f"there is no graph {name!r}{_hint(name, GRAPH_NAMES)}; graphs: {', '.join(GRAPH_NAMES)}"
            )
    return {name: recipe(precision.get(name, "fp32")) for name in GRAPH_NAMES}


def default_output(checkpoint: str | Path, precision: str | Mapping[str, str]) -> Path:
    """`tiny.vljepa` in the working folder, or `tiny-fp32.vljepa`, ... when it is not int8."""
    name = Path(checkpoint).resolve().name
    return Path(f"{name}.vljepa" if precision == "int8" else f"{name}-{_tag(precision)}.vljepa")


def _tag(precision: str | Mapping[str, str]) -> str:
    return precision if isinstance(precision, str) else "mixed"


def _shipped_checkpoints() -> dict[str, Path]:
    spec = find_spec("vljepa_model")  # found, not imported: it would bring torch
    roots = spec.submodule_search_locations if spec is not None else None
    found = (path for root in roots or () for path in sorted(Path(root).glob("checkpoints/*/config.json")))
    return {path.parent.name: path.parent for path in found}


def _refuse_existing(out: str | Path, *, force: bool) -> Path:
    """The path to write, when it may be written.

    Raises:
        ExportError: something is there and `force` is off, or it is a folder that is not a bundle.
    """
    target = Path(out)
    if target.is_dir() and not (target / "bundle.json").is_file():
        raise ExportError(
            f"{target} is a folder and not a bundle: name the bundle to write, {target / 'NAME.vljepa'}"
        )
    if target.exists() and not force:
        raise ExportError(f"{target} exists: choose another name or pass force=True (--force)")
    return target


def _resolve_checkpoint(name: str | Path) -> Path:
    """A checkpoint's folder from its path or shipped name.

    Raises:
        ExportError: there is neither.
    """
    found = Path(name)
    if (found / "config.json").is_file():
        return found
    shipped = _shipped_checkpoints()
    if str(name) in shipped:
        return shipped[str(name)]
    what = "is not a checkpoint (it has no config.json)" if found.exists() else "does not exist"
    names = ", ".join(shipped) or "none"
    raise ExportError(
        f"{found} {what}{_hint(str(name), tuple(shipped))}; expected a folder written by `vljepa train`, "
        f"or a shipped checkpoint ({names})"
    )


def _hint(word: str, choices: tuple[str, ...]) -> str:
    close = get_close_matches(word, choices, n=1)
    return f": did you mean {close[0]!r}?" if close else ""
