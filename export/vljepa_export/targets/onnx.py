"""ONNX: the traced graph itself, or quantised by a method of `vljepa_quant`; what graphs share is stored once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vljepa_export.parity import onnx_runner
from vljepa_export.targets.protocol import Converted, Feeds, TracedGraph, graph_spec
from vljepa_quant import Precision
from vljepa_quant.graph_editor import GraphEditor, content_digest
from vljepa_quant.weights_file import PAGE, WeightsFile, is_worth_a_file

__all__ = ["convert", "place"]

SHARED_ALIGNMENT = 64
ON_GPUS = "measured by a twin that rounds every result as a GPU does: no CPU provider runs this type"


def convert(
    traced: TracedGraph,
    precision: Precision,
    *,
    samples: Sequence[Feeds],
    budgets: tuple[int, ...] = (),
    folder: Path,
) -> Converted:
    """See `Target`; without a method it is the traced graph, nothing is calibrated, and N stays free."""
    path, file = traced.path, f"{traced.contract.name}.onnx"
    if precision.method:
        path = _edited(traced.path, folder / file, precision.edit)
    measured, notes = path, tuple[str, ...]()
    if not precision.runs_on_cpu:
        measured, notes = _edited(traced.path, folder / "twin.onnx", precision.edit_twin), (ON_GPUS,)
    return Converted(
        spec=graph_spec(traced.contract, file),
        files={file: path},
        open=partial(onnx_runner, measured),
        notes=notes,
        precision=precision,
    )


def _edited(source: Path, path: Path, edit: Callable[[GraphEditor], None]) -> Path:
    """Write an edited graph and its weights."""
    editor = GraphEditor.open(source)
    edit(editor)
    with WeightsFile(path.with_suffix(".weights")) as weights:
        editor.save(path, weights)
    return path


def place(made: Mapping[str, Converted], network: str, folder: Path, *, mapped: bool) -> dict[str, Converted]:
    """See `Places`; equal constants of a network lie in `NETWORK.weights` once, all or only those of several graphs."""
    editors = {name: GraphEditor.open(item.files[item.spec.file]) for name, item in made.items()}
    shared = set() if mapped else _shared(editors.values())
    with WeightsFile(
        folder / f"{network}.weights",
        alignment=PAGE if mapped else SHARED_ALIGNMENT,
        holds=lambda value: mapped or content_digest(value) in shared,
    ) as weights:
        models = {
            name: editor.save(folder / made[name].spec.file, weights) for name, editor in editors.items()
        }
    beside = [weights.path] if weights.size else []
    return {
        name: replace(
            made[name],
            spec=replace(made[name].spec, external=tuple(path.name for path in beside)),
            files={path.name: path for path in (folder / made[name].spec.file, *beside)},
            nodes=len(model.graph.node),
        )
        for name, model in models.items()
    }


def _shared(editors: Iterable[GraphEditor]) -> set[Any]:
    """Digests of the constants that more than one graph holds."""
    counts = Counter(
        digest
        for editor in editors
        for digest in {content_digest(value) for value in editor.constants.values() if is_worth_a_file(value)}
    )
    return {digest for digest, count in counts.items() if count > 1}
