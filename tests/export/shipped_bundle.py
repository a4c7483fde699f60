"""Measures the shipped bundle on held-out clips and writes what it scores, and what it knows, into it.

    vljepa export tiny -o runtime/vljepa_runtime/bundles/tiny.vljepa --force
    python tests/export/shipped_bundle.py --hands DIR

DIR has the photographs of hand signs, which are not part of this project: what is known is calibrated on them, too.
With --accuracy-of OLD, a bundle whose graphs are the same, only the calibration is made anew.
The graphs stay as the export made them, byte for byte; the reference is sealed again. A quarter of an hour on one
busy CPU core, a minute of it for the calibration.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from vljepa_apps import console
from vljepa_data.world import HandBank
from vljepa_evaluation.gates import REFERENCE_FILE, Reference, draw_probes, record_novelty
from vljepa_evaluation.novelty import FittedNovelty, fit_novelty, known_world, pooled_windows
from vljepa_evaluation.tasks import evaluate
from vljepa_model.shipped import checkpoint_folder
from vljepa_runtime import Bundle, Model, load, open_engine, write_bundle
from vljepa_runtime.novelty import NOVELTY_FILE

TASKS = ("classification", "composition", "retrieval", "vqa")
CLIPS = 2000
WINDOWS = 1200  # of the world


def measured() -> dict[str, float]:
    """The headline of each task by its name, as `vljepa compare tiny --clips 2000` prints it."""
    with console.Progress("measuring", total=1) as progress:
        results = list(evaluate(load("tiny"), tasks=TASKS, clips=CLIPS, progress=progress.update))
    return {f"{item.task} {item.headline}": round(item.main.value, 4) for item in results if item.main}


def measured_before(bundle: Bundle, old: Bundle) -> dict[str, float]:
    """What a bundle of the same graphs scored."""
    if graphs(bundle) != graphs(old):
        raise SystemExit(f"{old.location} has other graphs: leave --accuracy-of out")
    return dict(old.manifest.accuracy)


def graphs(bundle: Bundle) -> dict[str, bytes]:
    """Graphs and their weights by their files' names."""
    names = [name for name in bundle.manifest.files if name.endswith((".onnx", ".weights"))]
    return {name: bundle.read(name) for name in names}


def calibrated(model: Model, hands: HandBank) -> FittedNovelty:
    """What the bundle's own X-encoder gives for the world and for hand signs."""
    known = known_world(model.preprocess, windows=WINDOWS, hands=hands)
    return fit_novelty({name: pooled_windows(model, windows) for name, windows in known})


def main() -> None:
    """Write the bundle again with what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hands", required=True, metavar="DIR")
    parser.add_argument("--accuracy-of", metavar="OLD", help="a bundle with the same graphs")
    args = parser.parse_args()
    metadata = json.loads((checkpoint_folder("tiny") / "config.json").read_text())["metadata"]
    model = load("tiny", engine="onnxruntime:cpu")
    fitted = calibrated(model, HandBank.load(args.hands, "train"))
    place: Path = model.bundle.location
    files = {name: model.bundle.read(name) for name in model.bundle.manifest.files}
    old = Bundle.open(args.accuracy_of) if args.accuracy_of else None
    manifest = replace(
        model.bundle.manifest,
        accuracy=measured_before(model.bundle, old) if old else measured(),
        knows_only=metadata["knows_only"],
        novelty=fitted.spec,
    )
    files[NOVELTY_FILE] = fitted.novelty.to_bytes()
    manifest = Bundle.in_memory(manifest, files).manifest
    reference, draft = (
        Reference.of(model.bundle),
        Model(Bundle.in_memory(manifest, files), open_engine("onnxruntime:cpu")),
    )
    record = record_novelty(draft, reference.usage.footage if reference.usage else (), draw_probes())
    files[REFERENCE_FILE] = replace(reference, novelty=record).sealed(manifest).to_bytes()
    write_bundle(place, manifest, files, force=True).close()


if __name__ == "__main__":
    main()
