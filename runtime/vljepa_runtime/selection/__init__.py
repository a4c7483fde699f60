"""When to put meaning into words: a stream of embeddings in, few segments worth decoding out.

>>> import numpy as np
>>> from vljepa_runtime.selection import EveryWindow, Observation, OfflineSelection, OfflineWard, OnlineSelection
>>> from vljepa_runtime.selection import Uniform, observe, parse_policy, run_policy, ward_segments
>>> one, other = np.eye(2, 8)
>>> embeddings = np.stack([one] * 6 + [other] * 6)  # a window a second; the meaning changes after six
>>> windows = list(observe(embeddings, np.arange(12.0), window_s=1))
>>> for policy in (EveryWindow(), Uniform(5), OnlineSelection(), OfflineWard(2)):
...     print(type(policy).__name__, [decision.time_s for decision in run_policy(policy, windows)])
EveryWindow [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
Uniform [0.0, 5.0, 10.0]
OnlineSelection [0.5, 6.5]
OfflineWard [2.5, 8.5]
>>> ward_segments(embeddings, 2)
array([0, 6])

A stream is taken window by window:

>>> state = parse_policy("online").start()  # one per stream and query
>>> state.push(Observation(index=0, start_s=0, end_s=1, embedding=one))  # most give nothing
[]
>>> state.finish()
[Decision(start_s=0, end_s=1, time_s=0.5, ...)]

What tells events apart can be a small network, which `vljepa selective` fits and a file keeps:

>>> from vljepa_runtime.selection import BOUNDARIES_FILE, BoundaryNet, resolve_policy
>>> net = BoundaryNet(stride_s=1, weights=(np.ones((1, 1), np.float32),), biases=(np.zeros(1, np.float32),))
>>> BOUNDARIES_FILE, resolve_policy(OnlineSelection(boundaries=(net,), boundary=0.7)).boundary
('boundaries.safetensors', 0.7)

One that is surest where two windows in a row are far apart, over the whole stream at once:

>>> net = BoundaryNet(stride_s=1, weights=(np.ones((1, 1), np.float32),), biases=(np.full(1, -0.5, np.float32),))
>>> [decision.start_s for decision in run_policy(OfflineSelection(2, boundaries=(net,)), windows)]
[-0.5, 4.5]

A policy of your own that decides on a whole stream gives what it has seen to a function:

>>> from vljepa_runtime.selection import WholeStream, decisions_between
>>> state = WholeStream(lambda seen: decisions_between(seen, [(0, 6)]))
>>> [decision for window in windows for decision in state.push(window)], len(state.finish())
([], 1)

Without one, a change opens at a distance:

>>> from vljepa_runtime.selection import THRESHOLD
>>> THRESHOLD, OnlineSelection().least_change, OnlineSelection(threshold=0.1).least_change
(0.02, 0.02, 0.1)

A policy is a file here, a line in the table of `policies.py` and its test.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
