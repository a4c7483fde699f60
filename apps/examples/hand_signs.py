"""Hand signs are counted: which digit a hand shows, and how often each was shown.

    python apps/examples/hand_signs.py tiny 0
    python apps/examples/hand_signs.py tiny signs.mp4 --digits zero one two three

The labels are answers in your own words; nothing is decoded. `tiny` has seen the ten signs of one alphabet only, cut
out and set before other scenery: before a camera of your own it guesses, and says so by its score.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import vljepa_runtime as vj

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LABEL = "a hand shows the digit {}"


def arguments() -> argparse.Namespace:
    """What is watched, and which signs count."""
    parser = argparse.ArgumentParser(description="Count hand signs.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("source", help="a camera's number or path, a file or a URL")
    parser.add_argument("--digits", nargs="+", default=DIGITS, choices=DIGITS, metavar="DIGIT")
    parser.add_argument("--min-score", type=float, default=0.5, help="below it is no sign (default 0.5)")
    return parser.parse_args()


def main() -> int:
    """Print each sign when it is shown, and the counts at the end."""
    args = arguments()
    digits = {LABEL.format(digit): digit for digit in args.digits}
    counts: Counter[str] = Counter()
    try:
        with vj.load(args.bundle).session(labels=list(digits), min_score=args.min_score) as session:
            for event in session.run(args.source):
                if event.kind == "answer" and event.text:  # another sign; an empty text is none
                    counts[digits[event.text]] += 1
                    print(f"{event.start_s:7.1f} s  {digits[event.text]} ({event.score:.2f})", flush=True)
    except KeyboardInterrupt:
        pass  # the counts come yet
    except vj.VljepaError as error:
        print(error, file=sys.stderr)
        return 1
    print("; ".join(f"{digit}: {count}" for digit, count in counts.most_common()) or "no sign was seen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
