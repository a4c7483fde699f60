"""Measures the shipped bundle on held-out clips and writes what it scores, and all it knows, into its manifest.

    vljepa export tiny -o runtime/vljepa_runtime/bundles/tiny.vljepa --force
    python tests/export/shipped_bundle.py

The graphs stay as the export made them, byte for byte; the reference is sealed again. A quarter of an hour on one busy
CPU core.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from vljepa_apps import console
from vljepa_evaluation.gates import REFERENCE_FILE, Reference
from vljepa_evaluation.tasks import evaluate
from vljepa_model.shipped import checkpoint_folder
from vljepa_runtime import Bundle, load, write_bundle

TASKS = ("classification", "composition", "retrieval", "vqa")
CLIPS = 2000


def measured() -> dict[str, float]:
    """The headline of each task by its name, as `vljepa compare tiny --clips 2000` prints it."""
    with console.Progress("measuring", total=1) as progress:
        results = list(evaluate(load("tiny"), tasks=TASKS, clips=CLIPS, progress=progress.update))
    return {f"{item.task} {item.headline}": round(item.main.value, 4) for item in results if item.main}


def main() -> None:
    """Write the bundle again with what was measured."""
    metadata = json.loads((checkpoint_folder("tiny") / "config.json").read_text())["metadata"]
    with Bundle.open("tiny") as bundle:
        place: Path = bundle.location
        files = {name: bundle.read(name) for name in bundle.manifest.files}
        manifest = replace(bundle.manifest, accuracy=measured(), knows_only=metadata["knows_only"])
        files[REFERENCE_FILE] = Reference.of(bundle).sealed(manifest).to_bytes()
    write_bundle(place, manifest, files, force=True).close()


if __name__ == "__main__":
    main()
