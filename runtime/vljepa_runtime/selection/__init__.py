"""When to put meaning into words: a stream of embeddings in, few segments worth decoding out.

    policy = parse_policy("online")
    state = policy.start()               # one per stream and query
    decisions = state.push(observation)  # at every window; most give none
    decisions += state.finish()

A policy is a file here, a line in the table of `policies.py` and its test.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
