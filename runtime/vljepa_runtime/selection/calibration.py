"""How sensitive an `OnlineSelection` spends a given number of decodings, from a sequence without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.online import OnlineSelection
from vljepa_runtime.selection.policies import run_policy
from vljepa_runtime.selection.protocol import Observation, observe

__all__ = ["calibrate", "calibrate_observed"]


def calibrate(
    embeddings: npt.NDArray[np.floating],
    times_s: npt.NDArray[np.floating],
    per_minute: float,
    *,
    base: OnlineSelection | None = None,
) -> OnlineSelection:
    """Pick the threshold for a target rate from a sequence without labels.

    Args:
        embeddings: (T, S) of consecutive windows, as the policy will see them.
        times_s: (T,) middles of the windows.
        per_minute: Decodings per minute that the policy may spend on such a stream.
        base: The other options; default `OnlineSelection()`.

    Returns:
        `base` with the most sensitive threshold found that stays within the rate; with `boundaries`, with the most
        sensitive `boundary`. The rate need not fall strictly with it, so neighbouring rates may be reachable too.

    Raises:
        InputError: fewer than two windows, or a rate that is not above 0.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.selection import calibrate, observe, run_policy
        >>> rng = np.random.default_rng(0)
        >>> embeddings = np.repeat(rng.normal(size=(20, 64)), 6, axis=0) + 0.3 * rng.normal(size=(120, 64))
        >>> policy = calibrate(embeddings, np.arange(120.0), per_minute=6)
        >>> len(run_policy(policy, observe(embeddings, np.arange(120.0))))  # in two minutes
        12
    """
    if len(embeddings) < 2 or not per_minute > 0:
        raise InputError(
            f"expected 2 windows or more and per_minute > 0, got {len(embeddings)} and {per_minute}"
        )
    seen = list(observe(embeddings, times_s))
    step_s = float(times_s[-1] - times_s[0]) / (len(seen) - 1)
    return calibrate_observed(seen, per_minute, seconds=step_s * len(seen), base=base)


def calibrate_observed(
    seen: Sequence[Observation],
    per_minute: float,
    *,
    seconds: float | None = None,
    base: OnlineSelection | None = None,
) -> OnlineSelection:
    """The same for windows as a session cut them, with where each begins and ends.

    Args:
        seen: Consecutive windows.
        per_minute: See `calibrate`.
        seconds: Length of the recording; None goes from the first window's begin to the last one's end.
        base: See `calibrate`.

    Raises:
        InputError: fewer than two windows, or a rate that is not above 0.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.selection import Observation, calibrate_observed, run_policy
        >>> seen: list[Observation] = []
        >>> def keep(window, query, row):
        ...     times = {"start_s": window.start_s, "end_s": window.end_s}
        ...     seen.append(Observation(index=window.index, embedding=row, held=window.held, **times))
        >>> with vj.load("tiny").session(decode="never", stride_s=0.5) as session:
        ...     events = list(session.run("clip.mp4", on_window=keep))
        >>> policy = calibrate_observed(seen, per_minute=20)
        >>> len(run_policy(policy, seen))  # in six seconds
        2
    """
    if len(seen) < 2 or not per_minute > 0:
        raise InputError(f"expected 2 windows or more and per_minute > 0, got {len(seen)} and {per_minute}")
    policy = base if base is not None else OnlineSelection()
    if seconds is None:
        seconds = seen[-1].end_s - seen[0].start_s
    allowed = max(1.0, per_minute * seconds / 60)
    low, high = 1e-4, 0.9999 if policy.boundaries else 2.0
    for _ in range(14):  # to 0.1 % of it
        middle = math.sqrt(low * high)
        if len(run_policy(policy.limited(middle), seen)) <= allowed:
            high = middle
        else:
            low = middle
    return policy.limited(high)
