"""`vljepa verify`: the gates repeated where the bundle lives, against what the float model gave. No torch."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console
from vljepa_apps.tables import PARITY_HEADER, parity_cells

if TYPE_CHECKING:
    from vljepa_evaluation.gates import GateResults, GraphResult, Judgement, Reference
    from vljepa_runtime.bundle import Bundle

EXIT_CODES = {"kept": 0, "missed": 1, "not judged": 3}
LAST_WORDS = {
    "kept": "all gates kept",
    "missed": "outside its gates",
    "not judged": "not judged: what was compared is inside its gates, and not all of it could be compared",
}
NOTHING_RUN = "all that is fixed is what was meant; nothing was run"
HEADER = ("graph", "precision", *PARITY_HEADER, "worst ever", "gates")
GATES_HEADER = ("gate", "measured", "worst ever", "limit")

EXAMPLE = "vljepa verify tiny-openvino.vljepa"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    parser.add_argument(
        "--against",
        metavar="BUNDLE",
        help="compare with this fp32 ONNX bundle of the same model, run here, instead of the stored reference",
    )
    parser.add_argument(
        "--gates",
        choices=("all", "graphs", "constants"),
        default="all",
        help="all (default); graphs: not end to end; constants: run nothing, compare all that is fixed with "
        "--against, also of a bundle that no engine here runs",
    )
    arguments.add_json(parser)
    arguments.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Print the results; exit code 1 when something is missed, 3 when not all could be judged."""
    from vljepa_runtime.bundle import Bundle
    from vljepa_runtime.graphs import check_graphs

    bundle = Bundle.open(args.bundle)
    check_graphs(bundle)
    results = at_rest(bundle, args.against) if args.gates == "constants" else measured(bundle, args)
    console.report(results.to_dict(), lambda: text(bundle.name, results), as_json=args.json)
    return EXIT_CODES[results.verdict.value]


def at_rest(bundle: Bundle, against: str | None) -> GateResults:
    """What can be said of a bundle that is not run.

    Raises:
        InputError: there is no float bundle to compare with.
        BundleError: it is of another model or is not float.
    """
    from vljepa_evaluation.gates import REFERENCE_FILE, GateResults, Judgement, Reference
    from vljepa_runtime.errors import InputError

    if against is None:
        raise InputError("--gates constants compares with float graphs: pass --against FP32_BUNDLE, too")
    float_bundle(bundle, against).close()
    judgements = [
        Judgement(name=name, absent="--gates constants runs nothing") for name in ("distance", "repeat")
    ]
    if REFERENCE_FILE in bundle.manifest.files:
        judgements.append(Reference.of(bundle).judge_seal(bundle.manifest))
    judgements.append(constants(bundle, against))
    return GateResults(engine="no engine", graphs=(), agreement=None, misses=(), judgements=tuple(judgements))


def measured(bundle: Bundle, args: argparse.Namespace) -> GateResults:
    """All judgements, on an engine."""
    from vljepa_evaluation.gates import check_gates
    from vljepa_quant import limits_for
    from vljepa_runtime.engines import open_engine

    reference = stored_or_made(bundle, args.against, scenes=args.gates == "all")
    if args.gates == "graphs":
        reference = reference.graphs_alone
    engine = open_engine(
        args.engine, threads=args.threads, allow_fallback=args.allow_fallback, target=bundle.manifest.target
    )
    with console.Progress("verifying", total=1.0) as progress:
        results = check_gates(bundle, engine, reference, limits=limits_for, progress=progress.update)
    return replace(results, judgements=(*results.judgements, constants(bundle, args.against)))


def stored_or_made(bundle: Bundle, against: str | None, *, scenes: bool) -> Reference:
    """The reference that the bundle carries, or a new one from a float bundle.

    Raises:
        BundleError: there is no reference, or the other bundle is another model or is not float.
    """
    from vljepa_evaluation.gates import REFERENCE_FILE, Reference, Scenes, record_reference
    from vljepa_runtime.engines import open_engine

    if against is None:
        return Reference.of(bundle)
    with float_bundle(bundle, against) as floats, console.Progress("reference", total=1.0) as progress:
        made = record_reference(
            floats,
            open_engine("onnxruntime:cpu"),
            like=bundle.manifest,
            scenes=Scenes() if scenes else None,
            progress=progress.update,
        )
    if REFERENCE_FILE not in bundle.manifest.files:
        return made
    stored = Reference.of(bundle)
    return replace(made, repeat=stored.repeat, novelty=stored.novelty, seal=stored.seal)


def float_bundle(bundle: Bundle, against: str) -> Bundle:
    """The float bundle to compare with, opened.

    Raises:
        BundleError: it is of another model or is not float.
    """
    from vljepa_runtime.bundle import Bundle
    from vljepa_runtime.errors import BundleError

    floats = Bundle.open(against)
    if set(floats.manifest.precision.values()) - {"fp32"} or floats.manifest.target != "onnx":
        raise BundleError(
            f"expected an fp32 ONNX bundle to compare with, {against} holds {floats.manifest.precision}"
        )
    mine, theirs = (each.manifest.source.checkpoint_sha256 for each in (bundle, floats))
    if mine != theirs:
        raise BundleError(
            f"{against} is made from another checkpoint ({theirs[:12]}) than {bundle.name} ({mine[:12]}): "
            "export both from one"
        )
    return floats


def constants(bundle: Bundle, against: str | None) -> Judgement:
    """Everything that is fixed in the bundle beside a float bundle, or why that was not compared here."""
    from vljepa_evaluation.gates import Judgement, judge_constants
    from vljepa_runtime.bundle import Bundle
    from vljepa_runtime.errors import MissingExtraError

    if against is None:
        counted = sum(bundle.manifest.constants.values())
        exported = f"{counted} were compared when the bundle was exported; " if counted else ""
        return Judgement(
            name="constants", absent=f"{exported}pass --against FP32_BUNDLE to compare them here"
        )
    if find_spec("onnx") is None:
        return Judgement(name="constants", unjudged=(str(MissingExtraError("onnx", "export")),))
    from vljepa_export.constants import prove_bundle

    with Bundle.open(against) as floats, console.Progress("constants", total=1.0) as progress:
        return judge_constants(prove_bundle(bundle, floats, progress=progress.update))


def text(name: str, results: GateResults) -> str:
    """The results for people."""
    lines = [f"{name} on {results.engine}"]
    if results.graphs:
        rows = [row(graph) for graph in results.graphs]
        lines += ["each graph against the float model:", console.table(rows, header=HEADER)]
    if results.gates:
        gates = [
            (what, f"{here:.6f}", f"{worst:.6f}", f"at least {limit:g}")
            for what, (here, worst, limit) in results.gates.items()
        ]
        lines += ["end to end against the float model:", console.table(gates, header=GATES_HEADER)]
    lines += [f"near its limit: {graph.name}: {words}" for graph in results.graphs for words in graph.near]
    lines += [f"near its limit: {words}" for words in results.near]
    for each in results.judgements:
        what = "gate" if each.name == "distance" else each.name
        lines += [f"{what} missed: {miss}" for miss in each.misses]
    lines += [f"{each.name} not judged: {why}" for each in results.judgements for why in each.unjudged]
    lines += [f"{each.name} not judged here: {each.absent}" for each in results.judgements if each.absent]
    if results.note:
        lines.append(f"not measured: {results.note}")
    last = NOTHING_RUN if results.passed and not results.graphs else LAST_WORDS[results.verdict.value]
    return "\n".join([*lines, last])


def row(graph: GraphResult) -> tuple[str, ...]:
    """One line of the table of graphs."""
    kept = "missed" if graph.misses else "n/a" if graph.parity is None else "kept"
    worst = f"{graph.worst.worst_cosine:.6f}" if graph.worst else "n/a"
    return graph.name, graph.precision, *parity_cells(graph.parity), worst, kept
