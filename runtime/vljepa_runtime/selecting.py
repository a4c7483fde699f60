"""What a session asks and how it selects: a policy, labels or taught states become one policy with its queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_runtime.arguments import path, texts
from vljepa_runtime.bundle.identity import identity_of
from vljepa_runtime.errors import InputError
from vljepa_runtime.queries import queries_or_prompt
from vljepa_runtime.selection.best_label import BestLabel
from vljepa_runtime.selection.best_state import BestState
from vljepa_runtime.selection.boundaries import Boundaries
from vljepa_runtime.selection.offline import OfflineSelection
from vljepa_runtime.selection.online import OnlineSelection
from vljepa_runtime.selection.policies import resolve_policy
from vljepa_runtime.selection.protocol import Policy, State
from vljepa_runtime.states import States

if TYPE_CHECKING:
    from vljepa_runtime.model import Model

__all__ = ["Selecting", "choose_selecting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selecting:
    """What selects in a session.

    Attributes:
        policy: For each query.
        boundaries: What tells events apart where the policy leaves that open; None where the bundle has none.
    """

    policy: Policy
    boundaries: Boundaries | None

    @property
    def pools(self) -> bool:
        """Whether the policy looks at pooled visual tokens."""
        return getattr(self.policy, "feature", "") == "tokens"

    def begin(self, query: str) -> State:
        """What selects of one query: with the bundle's own network where it has one for such windows."""
        policy = self.policy
        if isinstance(policy, (OnlineSelection, OfflineSelection)):
            policy = policy.knowing(self.boundaries, query)
        return policy.start()


def choose_selecting(
    model: Model,
    *,
    query: str | Iterable[str] | None,
    select: Policy | str | None,
    labels: Iterable[str] | None,
    min_score: float | None,
    states: States | str | Path | None,
    decode: str,
) -> tuple[tuple[str, ...], Selecting]:
    """Queries and what selects of each; the arguments are those of `Session`.

    Raises:
        InputError: they contradict each other.
        BundleError: labels are given and the bundle has no Y-encoder.
    """
    if states is not None:
        given = {"labels": labels, "select": select, "min_score": min_score, "query": query}
        if (other := [name for name, value in given.items() if value is not None]) or decode == "always":
            raise InputError(
                "states bring their own query and are told when they change: leave out "
                f"{', '.join(other) or 'decode'}"
            )
        select = BestState(states=_states_of(model, states))
        query = select.states.query
    queries = queries_or_prompt(model, query, *(("classify",) if labels is not None else ()), "caption")
    if labels is not None:
        if select is not None or decode == "always":
            raise InputError(
                "labels are told when they change, in their own words: leave out select and decode"
            )
        names = texts(labels, "labels")
        select = BestLabel(labels=names, embeddings=model.embed_text(names), min_score=min_score)
    elif min_score is not None:
        raise InputError("min_score is a label's: give labels, too")
    policy = resolve_policy("online" if select is None else select)
    return queries, Selecting(policy=policy, boundaries=model.boundaries)


def _states_of(model: Model, states: States | str | Path) -> States:
    """States, read where they are a file, of this model."""
    found = states if isinstance(states, States) else States.read(path(states, "states"))
    found.require(identity_of(model.bundle.manifest))
    return found
