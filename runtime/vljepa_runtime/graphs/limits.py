"""How much a graph may hold and compute, and at which sizes that is worked out: the one place, with the reasons."""

from __future__ import annotations

from vljepa_runtime.contract import BATCH, CACHED, LENGTH

__all__ = ["HEADS", "LONG", "USUAL", "value_limit"]

# Values (not bytes) that may be alive at once, and that may be computed from constants alone, which engines do while
# they load a graph. 16 Mi values are 64 MB in float32: `tiny` needs 0.6 Mi at most, from constants almost none.
FLOOR = 1 << 24
# Beyond that a graph gets what its own files pay for: weights of 4 bits (2 a byte) are unpacked, scaled, turned and
# cast, each a copy.
PER_BYTE = 8
# And what attention takes where it is not fused: a score per pair of tokens and head.
HEADS = 64

# Sizes of the free axes besides the tokens of a window: one text of the shortest width and a short cache; then the
# widest text (`tokenizer.LENGTHS`) and a cache longer than a decoded sentence.
USUAL = {BATCH: 1, LENGTH: 32, CACHED: 5}
LONG = {BATCH: 1, LENGTH: 512, CACHED: 64}


def value_limit(file_bytes: int, longest: int) -> int:
    """Most values of one graph.

    Args:
        file_bytes: Size of its files.
        longest: Tokens in its longest sequence.
    """
    return max(FLOOR, PER_BYTE * file_bytes, HEADS * longest * longest)
