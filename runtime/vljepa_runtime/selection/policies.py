"""The table of policies, as `--select` takes them: one line for each way to write one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vljepa_runtime.forms import Form, FormTable

if TYPE_CHECKING:
    from vljepa_runtime.selection.protocol import Decision, Observation, Policy

__all__ = ["POLICIES", "POLICY_HELP", "parse_policy", "resolve_policy", "run_policy"]


POLICIES = (  # the first one is the default
    Form("online", "selection.online:OnlineSelection"),
    Form("online", "selection.online:OnlineSelection", number="DECODINGS_PER_MINUTE", argument="per_minute"),
    Form("uniform", "selection.uniform:Uniform", number="SECONDS", argument="interval_s"),
    Form("every", "selection.uniform:EveryWindow"),
    Form("offline", "selection.offline:OfflineSelection"),
    Form("offline", "selection.offline:OfflineSelection", number="SEGMENTS", argument="segments", kind=int),
    Form("ward", "selection.ward:OfflineWard", number="SEGMENTS", argument="segments", kind=int),
)
TABLE: FormTable[Policy] = FormTable("selection policy", POLICIES, method="start")
POLICY_HELP = TABLE.help


def parse_policy(spec: str) -> Policy:
    """Read a policy from text.

    Args:
        spec: `online`, `online:6` (at most about 6 decodings per minute), `uniform:2`, `every`, `offline`,
            `offline:12` (at most 12 segments) or `ward:12`.

    Raises:
        InputError: no such policy, or its number is missing, wrong or not wanted.

    Examples:
        >>> import vljepa_runtime as vj
        >>> vj.parse_policy("uniform:2")
        Uniform(interval_s=2.0, pooling='point')
        >>> vj.parse_policy("online:6") == vj.OnlineSelection(per_minute=6)
        True
        >>> vj.parse_policy("onlin")
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: unknown selection policy 'onlin', did you mean 'online'? Expected ...
    """
    if isinstance(spec, str):
        spec = spec.strip().removesuffix(":")  # `online:` is `online`, as it has always been
    return TABLE.read(spec)


def resolve_policy(select: Policy | str) -> Policy:
    """A policy, or the one that a text names.

    Raises:
        InputError: it is neither.
    """
    return parse_policy(select) if isinstance(select, str) else TABLE.resolve(select)


def run_policy(policy: Policy | str, observations: Iterable[Observation]) -> list[Decision]:
    """All decisions of one policy over a whole sequence.

    Args:
        policy: A policy, or what `parse_policy` reads.
        observations: See `observe`.
    """
    state = resolve_policy(policy).start()
    decisions = [decision for seen in observations for decision in state.push(seen)]
    return decisions + state.finish()
