"""The table of policies, as `--select` takes them: one line for each way to write one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from vljepa_runtime.errors import InputError
from vljepa_runtime.suggestions import did_you_mean

if TYPE_CHECKING:
    from vljepa_runtime.selection.protocol import Decision, Observation, Policy

__all__ = ["POLICIES", "POLICY_HELP", "parse_policy", "resolve_policy", "run_policy"]


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """One way to write a policy.

    Attributes:
        name: What stands before the colon.
        opens: File of this package and class; a policy is imported when it is made, so that --help is fast.
        number: What the number after the colon is; empty where there is none.
        argument: Which argument of the class takes it.
        kind: Reads it: `float` or `int`.
    """

    name: str
    opens: str
    number: str = ""
    argument: str = ""
    kind: Callable[[str], float] = float

    def make(self, **arguments: Any) -> Policy:
        """The policy."""
        policy: Policy = resolve_name(f"vljepa_runtime.selection.{self.opens}")(**arguments)
        return policy

    def __str__(self) -> str:
        return f"{self.name}:{self.number}" if self.number else self.name


POLICIES = (  # the first one is the default
    PolicyForm("online", "online:OnlineSelection"),
    PolicyForm("online", "online:OnlineSelection", number="DECODINGS_PER_MINUTE", argument="per_minute"),
    PolicyForm("uniform", "uniform:Uniform", number="SECONDS", argument="interval_s"),
    PolicyForm("every", "uniform:EveryWindow"),
    PolicyForm("ward", "ward:OfflineWard", number="SEGMENTS", argument="segments", kind=int),
)
FORMS = " | ".join(map(str, POLICIES))
POLICY_HELP = ", ".join([f"{POLICIES[0]} (default)", *map(str, POLICIES[1:])])


def parse_policy(spec: str) -> Policy:
    """Read a policy from text.

    Args:
        spec: `online`, `online:6` (at most about 6 decodings per minute), `uniform:2`, `every` or `ward:12`.

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
    if not isinstance(spec, str):
        raise InputError(f"expected a selection policy as text ({FORMS}), got {spec!r}")
    name, _, value = spec.strip().lower().partition(":")
    forms = {bool(form.number): form for form in POLICIES if form.name == name}
    if not forms:
        hint = did_you_mean(name, [form.name for form in POLICIES], lead=", ")
        raise InputError(f"unknown selection policy {spec!r}{hint} Expected {FORMS}")
    if not value and False in forms:
        return forms[False].make()
    if True not in forms:
        raise InputError(f"'{name}' takes no number, got {spec!r}: expected {FORMS}")
    form = forms[True]
    return form.make(**{form.argument: _number(spec, value, form.kind)})


def resolve_policy(select: Policy | str) -> Policy:
    """A policy, or the one that a text names.

    Raises:
        InputError: it is neither.
    """
    if isinstance(select, str):
        return parse_policy(select)
    if not callable(getattr(select, "start", None)):
        raise InputError(f"expected a selection policy or a text ({FORMS}), got {select!r}")
    return select


def run_policy(policy: Policy | str, observations: Iterable[Observation]) -> list[Decision]:
    """All decisions of one policy over a whole sequence.

    Args:
        policy: A policy, or what `parse_policy` reads.
        observations: See `observe`.
    """
    state = resolve_policy(policy).start()
    decisions = [decision for seen in observations for decision in state.push(seen)]
    return decisions + state.finish()


def _number(spec: str, value: str, kind: Callable[[str], float]) -> Any:
    try:
        return kind(value)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"expected {wanted} after ':', got {spec!r}: expected {FORMS}") from None
