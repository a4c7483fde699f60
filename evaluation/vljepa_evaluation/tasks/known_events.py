"""What selection is measured against: the true events of a stream, and how well a policy finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.tasks.streams import Recording
from vljepa_runtime.selection import Policy, WholeStream, decisions_between, resolve_policy

__all__ = ["FoundEvents", "KnownEvents", "find_events"]

NEAR_S = 1.0  # between the start of an event and that of the segment that tells it: half a window
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class KnownEvents:
    """An oracle: one decoding an event, of the mean of the windows that lie in it, once the stream is over.

    Attributes:
        events_s: (E, 2) start and end of each.
    """

    events_s: Float64

    @classmethod
    def of(cls, recording: Recording) -> KnownEvents:
        """Of one stream."""
        return cls(recording.events_s)

    def start(self) -> WholeStream:
        """A fresh state for one stream."""
        return WholeStream(lambda seen: decisions_between(seen, self.events_s.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvents:
    """How a policy's segments fit the events of some streams.

    Attributes:
        events: How many there are.
        missed: Those near whose start no segment starts.
        spurious: Segments that start near no event's start, or near one that another has told.
        minutes: Length of the streams.
        delays_s: Of each event that was found, from its start to the end of the window after which it was told.
    """

    events: int
    missed: int
    spurious: int
    minutes: float
    delays_s: tuple[float, ...]


def find_events(policies: Sequence[Policy], recordings: Sequence[Recording]) -> FoundEvents:
    """Run a policy over each stream, and match its segments with the events, one to one and the nearest first.

    Args:
        policies: One a stream.
        recordings: The streams.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.tasks import Recording, find_events
        >>> from vljepa_runtime import OnlineSelection
        >>> times = np.arange(0, 10, 0.5)
        >>> stream = Recording(
        ...     embeddings=np.eye(2, 8, dtype=np.float32)[(times >= 4).astype(int)],
        ...     windows_s=np.stack([times, times + 2], axis=1),
        ...     events_s=np.array([[0.0, 4.0], [4.0, 12.0]]),
        ...     references=(("a",), ("b",)),
        ... )
        >>> find_events([OnlineSelection()], [stream])
        FoundEvents(events=2, missed=0, spurious=0, minutes=0.16..., delays_s=(2.5, 2.5))
    """
    found = [_match(*told(policy, each), each.events_s[:, 0]) for policy, each in zip(policies, recordings)]
    events = sum(len(recording.events_s) for recording in recordings)
    delays = tuple(delay for _, each in found for delay in each)
    return FoundEvents(
        events=events,
        missed=events - len(delays),
        spurious=sum(count for count, _ in found) - len(delays),
        minutes=sum(recording.duration_s for recording in recordings) / 60,
        delays_s=delays,
    )


def told(policy: Policy, recording: Recording) -> tuple[Float64, Float64]:
    """(N,) where each segment starts, and the end of the window after which it was told."""
    state, starts, times, now_s = resolve_policy(policy).start(), list[float](), list[float](), 0.0
    for seen in recording.observations():
        now_s = seen.end_s
        starts += [decision.start_s for decision in state.push(seen)]
        times += [now_s] * (len(starts) - len(times))
    starts += [decision.start_s for decision in state.finish()]
    times += [now_s] * (len(starts) - len(times))
    return np.array(starts), np.array(times)


def _match(starts_s: Float64, times_s: Float64, events_s: Float64) -> tuple[int, list[float]]:
    """How many segments there are, and the delay of each event that one of them tells."""
    apart = np.abs(starts_s[:, None] - events_s)
    taken, delays = set[int](), list[float]()
    order = np.argsort(apart, axis=None, kind="stable")
    done = set[int]()
    for segment, event in zip(*(axis.tolist() for axis in np.unravel_index(order, apart.shape))):
        if apart[segment, event] > NEAR_S:
            break
        if segment not in taken and event not in done:
            taken.add(segment)
            done.add(event)
            delays.append(float(times_s[segment] - events_s[event]))
    return len(starts_s), delays
