"""A selection policy of one's own: words are made when the meaning comes near to a text, and at no other time.

    python apps/examples/own_policy.py tiny demo-out/stream.mp4 "an orange ball falls down"

A policy sees embeddings and times, no pictures and no words. It is one immutable object with the options, which gives
each stream a state of its own. `tiny` knows drawn shapes and hand signs only: put your own bundle in its place.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import vljepa_runtime as vj
from vljepa_runtime.selection import Decision, Observation, State


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NearText:
    """Decode once when the cosine to `wanted` passes `near`; again only after it was `margin` below."""

    wanted: npt.NDArray[np.float32]
    near: float
    margin: float = 0.05

    def start(self) -> State:
        """A fresh state for one stream."""
        return NearTextState(self)


class NearTextState:
    """Whether the stream is near now."""

    def __init__(self, policy: NearText) -> None:
        self._policy, self._inside = policy, False

    def push(self, seen: Observation) -> list[Decision]:
        """Take the next window; its embedding has length 1, so the product is the cosine."""
        embedding = np.asarray(seen.embedding, np.float32)
        cosine = float(embedding @ self._policy.wanted)
        comes = not self._inside and cosine >= self._policy.near
        self._inside = cosine >= self._policy.near - (self._policy.margin if self._inside else 0)
        if not comes:
            return []
        start_s, end_s, time_s = seen.start_s, seen.end_s, seen.time_s
        return [Decision(start_s=start_s, end_s=end_s, time_s=time_s, embedding=embedding, score=cosine)]

    def finish(self) -> list[Decision]:
        """Nothing is pending."""
        return []


def main() -> int:
    """Print what is near to the text."""
    parser = argparse.ArgumentParser(description="Decode when the meaning comes near to a text.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("source", help="a camera's number, a file or a URL")
    parser.add_argument("text", help="what is looked for")
    parser.add_argument(
        "--near", type=float, default=0.75, help="cosine from which it is near (default 0.75)"
    )
    args = parser.parse_args()
    model = vj.load(args.bundle)
    policy = NearText(wanted=model.embed_text([args.text])[0], near=args.near)
    with model.session(select=policy) as session:
        for event in session.run(args.source):
            if event.kind == "segment" and event.score is not None:
                print(f"{event.start_s:.1f} s  {event.score:.2f}  {event.text}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
