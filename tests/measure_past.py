"""What asking a log costs: questions answered from the embedding of their own, and from that of the caption query.

    python tests/measure_past.py [--clips 500]

Both are asked the same held-out clips of the procedural world; a log that was not asked a question has the caption's
embedding alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import vljepa_runtime as vj
from vljepa_evaluation.tasks import evaluate


class CaptionOnly:
    """A model as a log remembers it: whatever is asked, it has the answer to the caption query."""

    def __init__(self, model: vj.Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, visual: Any, query: str | None = None) -> Any:
        """See `Model.predict`."""
        return self._model.predict(visual, self._model.prompts["caption"])


def accuracies(model: Any, clips: int) -> Sequence[Any]:
    """Of every kind of question."""
    return evaluate(model, tasks=["vqa"], clips=clips)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--bundle", default="tiny")
    args = parser.parse_args()
    model = vj.load(args.bundle, threads=1)
    pairs = zip(accuracies(model, args.clips), accuracies(CaptionOnly(model), args.clips))
    print("| question | asked then | from the caption's embedding | chance |\n|---|---|---|---|")
    for own, caption in pairs:
        cells = [
            f"{each.main.value:.1%} [{each.main.low:.1%}, {each.main.high:.1%}]" for each in (own, caption)
        ]
        print(f"| {own.task} | {' | '.join(cells)} | {own.chance:.1%} |")


if __name__ == "__main__":
    main()
