"""The gates of a bundle that is not written yet: its graphs beside the float graphs that they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vljepa_evaluation.gates import (
    GateResults,
    Reference,
    Scenes,
    Verdict,
    check_gates,
    record_reference,
    record_repeat,
)
from vljepa_export.bundle_manifest import float_manifest, summarised, tokenizer_files
from vljepa_export.converted_engine import ConvertedEngine
from vljepa_export.effort import Effort
from vljepa_export.made import Made
from vljepa_export.nudged import nudged
from vljepa_export.request import ExportRequest
from vljepa_model.checkpoint import CheckpointFolder
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle, Certified, Manifest, Parity, write_bundle
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import EngineError

__all__ = ["certified", "check_draft", "missed_gates", "record", "repeated", "summary", "worst_parities"]

REPEATED_ON = {
    "onnx": "onnxruntime:cpu"
}  # which every machine has; other targets take the engine that is here


def record(
    request: ExportRequest,
    opened: CheckpointFolder,
    made: Sequence[Made],
    scratch: Path,
    *,
    like: Manifest,
    scenes: Scenes | None,
) -> Reference:
    """What the float graphs give for the inputs of the gates, and with the scenes.

    Args:
        request: What was asked for.
        opened: The checkpoint.
        made: Whose traced graphs are run.
        scratch: Gets the float graphs as a bundle.
        like: Of the bundle that will be compared.
        scenes: What to show end to end; None records graphs only.
    """
    graphs = [item.walked.graph for item in made]
    files: dict[str, bytes | Path] = {
        path.name: path for each in graphs for path in (each.path, *each.beside)
    }
    with write_bundle(
        scratch / "float.vljepa",
        float_manifest(request, opened, graphs),
        {**files, **tokenizer_files(opened)},
        archive=False,
    ) as bundle:
        return record_reference(bundle, open_engine("onnxruntime:cpu"), like=like, scenes=scenes)


def repeated(draft: Bundle, made: Sequence[Made], reference: Reference, effort: Effort) -> Reference:
    """With what the graphs of a bundle themselves give, where an engine of its target is here."""
    if not all(item.converted.runs_here and item.precision.runs_on_cpu for item in made):
        return reference
    target = draft.manifest.target
    engine = partial(open_engine, REPEATED_ON.get(target, "auto"), target=target)
    try:
        one, two = engine(threads=1), engine(threads=2)
    except EngineError:
        return reference
    alike = nudged(draft) if effort.end_to_end else None  # which is in memory as a whole
    recorded = record_repeat(
        draft,
        one,
        {name: group[-effort.repeated :] for name, group in reference.samples.items()},
        ways=[(draft, two), *([(alike, engine(threads=1))] if alike else [])],
        words=effort.words,
    )
    return replace(reference, repeat=recorded)


def check_draft(draft: Bundle, made: Sequence[Made], reference: Reference) -> GateResults | None:
    """How far the bundle does what the float graphs did, where something here can run it."""
    if not all(item.converted.runs_here for item in made):
        return None
    engine = ConvertedEngine(f"{draft.manifest.target} files", {item.name: item.converted for item in made})
    return check_gates(draft, engine, reference, limits=limits_for)


def certified(made: Sequence[Made], results: GateResults | None, scenes: Scenes | None) -> Certified:
    """Whether all gates were kept."""
    if any(item.faults for item in made) or (results and results.verdict is Verdict.MISSED):
        return Certified.NO
    unjudged = any(item.constants is not None and item.constants.unjudged for item in made)
    judged = results and results.verdict and scenes and not unjudged
    return Certified.YES if judged else Certified.NOT_JUDGED


def summary(results: GateResults | None) -> dict[str, float]:
    """What was measured end to end, for the manifest."""
    measured = [each for each in (results.agreement, results.usage) if each] if results else []
    # Rounded: the last digits differ between CPUs and say nothing.
    return {name: round(value, 6) for each in measured for name, value in each.to_dict().items()}


def worst_parities(manifest: Manifest, results: GateResults | None) -> dict[str, Parity]:
    """What the manifest says of each graph, with what the gates measured on their own inputs where that is worse."""
    worst = {graph.name: graph.worst for graph in results.graphs if graph.worst} if results else {}
    return {
        name: summarised(worst[name]) if name in worst else parity for name, parity in manifest.parity.items()
    }


def missed_gates(results: GateResults | None) -> tuple[str, ...]:
    """The gates missed end to end and on the reference's inputs, in words."""
    if results is None:
        return ()
    graphs = (f"{graph.name}: {miss}" for graph in results.graphs for miss in graph.misses)
    return (*results.misses, *graphs)
