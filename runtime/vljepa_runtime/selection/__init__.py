"""When to put meaning into words: a stream of embeddings in, few segments worth decoding out.

    policy = parse_policy("online")
    state = policy.start()               # one per stream and query
    decisions = state.push(observation)  # at every window; most give none
    decisions += state.finish()

A policy is a file here, a line in the table of `policies.py` and its test.
"""

from vljepa_runtime.selection.calibration import calibrate
from vljepa_runtime.selection.online import OnlineSelection
from vljepa_runtime.selection.policies import POLICY_HELP, parse_policy
from vljepa_runtime.selection.protocol import Decision, Observation, Policy, State, observe, run_policy
from vljepa_runtime.selection.uniform import EveryWindow, Uniform
from vljepa_runtime.selection.ward import OfflineWard, ward_segments

__all__ = [
    "POLICY_HELP",
    "Decision",
    "EveryWindow",
    "Observation",
    "OfflineWard",
    "OnlineSelection",
    "Policy",
    "State",
    "Uniform",
    "calibrate",
    "observe",
    "parse_policy",
    "run_policy",
    "ward_segments",
]
