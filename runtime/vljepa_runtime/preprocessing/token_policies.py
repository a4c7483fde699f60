"""The table of token policies, as `--tokens` takes them: which tubelets of a window are encoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import number
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing.changes import LEAST_CHANGE, Noise, cell_means, changes
from vljepa_runtime.preprocessing.patches import Clip
from vljepa_runtime.preprocessing.saliency import saliency
from vljepa_runtime.suggestions import did_you_mean

__all__ = [
    "TOKENS_HELP",
    "AllTokens",
    "SalientTokens",
    "StaticTokens",
    "TokenPolicy",
    "parse_tokens",
    "resolve_tokens",
]

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
RUN = 4  # instants that one static tubelet stands for at most
SHAPES = 8  # different counts at most, since engines prepare themselves for each


class TokenPolicy(Protocol):
    """Which tubelets of a window are encoded; immutable, and shared by all streams."""

    def rank(self, clip: Clip, patches: UInt8, positions: Int32, noise: Noise) -> tuple[Float32, int]:
        """Say how much each tubelet is wanted, and how many are.

        Args:
            clip: The window.
            patches: (N, P) of all its tubelets.
            positions: (N, 3).
            noise: Of the stream it is from, which may learn from it.

        Returns:
            (N,) larger is wanted more, and a count, 1..N.
        """
        ...


@dataclass(frozen=True, slots=True)
class AllTokens:
    """Every tubelet."""

    def rank(self, clip: Clip, patches: UInt8, positions: Int32, noise: Noise) -> tuple[Float32, int]:
        """See `TokenPolicy`."""
        return np.ones(len(patches), np.float32), len(patches)


@dataclass(frozen=True, slots=True)
class SalientTokens:
    """As many tubelets as a budget says, those with structure or motion first.

    V-JEPA 2's encoder was trained on partial token sets; the shipped model was trained on random subsets and on subsets
    three quarters of which `saliency` chose.

    Args:
        budget: How many, or below 1 which share of the window's.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model = vj.load("tiny")
        >>> [len(model.encode("clip.mp4", tokens=vj.SalientTokens(budget))) for budget in (96, 0.5)]
        [96, 128]
    """

    budget: float

    def __post_init__(self) -> None:
        budget = number(self.budget, "budget", above=0)
        if budget >= 1 and budget != int(budget):
            raise InputError(f"expected a budget of whole tokens, or a share below 1, got {budget:g}")

    def rank(self, clip: Clip, patches: UInt8, positions: Int32, noise: Noise) -> tuple[Float32, int]:
        """See `TokenPolicy`."""
        return saliency(patches, positions), self.count(len(patches))

    def count(self, of: int) -> int:
        """How many of so many tubelets.

        Raises:
            InputError: the budget is larger.
        """
        count = round(self.budget) if self.budget >= 1 else max(1, round(self.budget * of))
        if count > of:
            raise InputError(f"expected a budget of at most the window's {of} tokens, got {count}")
        return count


@dataclass(frozen=True, slots=True)
class StaticTokens:
    """All tubelets but those that only repeat what their place shows anyway.

    Where a place changes, the tubelets before and after are encoded. Where it does not, one tubelet stands for up to
    four instants, of another instant at each place, so that all instants are seen (after Choudhury et al., 2024, arXiv
    2411.05222, who keep the first). A window is judged by itself: nothing drifts, and nothing is to be refreshed.

    Args:
        threshold: What counts as a change, in levels of 255 of the mean of 4 x 4 pixels; more where the noise of the
            camera alone reaches it.

    Examples:
        >>> import numpy as np
        >>> import vljepa_runtime as vj
        >>> model, wall = vj.load("tiny"), np.full((8, 96, 96, 3), 128, np.uint8)
        >>> len(model.encode(wall)), len(model.encode(wall, tokens=vj.StaticTokens()))
        (256, 64)
    """

    threshold: float = LEAST_CHANGE

    def __post_init__(self) -> None:
        number(self.threshold, "threshold", above=0, most=255)

    def rank(self, clip: Clip, patches: UInt8, positions: Int32, noise: Noise) -> tuple[Float32, int]:
        """See `TokenPolicy`; the count is rounded up, so that few different ones come, with the most salient."""
        noise.push(clip)
        changed = self._changed(clip, noise.least_change(self.threshold))
        wanted = changed | _spread(changed.shape)
        wanted[:-1] |= changed[1:]
        kept, tokens = int(wanted.sum()), len(patches)
        step = -(-tokens // SHAPES)
        count = min(tokens, -(-kept // step) * step)
        if count == kept:
            return wanted.reshape(-1).astype(np.float32), count
        score = saliency(patches, positions)
        return np.where(wanted.reshape(-1), np.float32(np.inf), score), count

    def _changed(self, clip: Clip, least: float) -> Bool:
        """(t, h, w): whether a tubelet differs from the last one of its place that did."""
        cells, pre = cell_means(clip), clip.preprocess
        reference = cells[:1].copy()
        changed = np.zeros(pre.grid, np.bool_)
        cell = cells.shape[2] // pre.grid[1], cells.shape[3] // pre.grid[2]
        for instant in range(1, len(cells)):
            now = cells[instant : instant + 1]
            changed[instant] = changes(now, reference, pre)[0] > least
            reference = np.where(changed[instant].repeat(cell[0], 0).repeat(cell[1], 1), now, reference)
        return changed


def _spread(grid: tuple[int, ...]) -> Bool:
    """(t, h, w): one instant of every few at each place, not the same one as at its neighbours."""
    t, h, w = np.indices(grid, sparse=True)
    run = min(RUN, grid[0])
    return np.asarray((t + h + 2 * w) % run == 0)


@dataclass(frozen=True, slots=True)
class TokenForm:
    """One way to write a policy.

    Attributes:
        name: What stands before the colon.
        make: Gives the policy.
        number: What the number after the colon is; empty where there is none.
    """

    name: str
    make: Callable[..., TokenPolicy]
    number: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.number}" if self.number else self.name


TOKEN_FORMS = (  # the first one is the default
    TokenForm("all", AllTokens),
    TokenForm("static", StaticTokens),
    TokenForm("static", StaticTokens, number="LEVELS"),
    TokenForm("budget", SalientTokens, number="K"),
)
FORMS = " | ".join(map(str, TOKEN_FORMS))
TOKENS_HELP = ", ".join([f"{TOKEN_FORMS[0]} (default)", *map(str, TOKEN_FORMS[1:])])


def parse_tokens(spec: str) -> TokenPolicy:
    """Read a token policy from text.

    Args:
        spec: `all`, `static`, `static:10` (levels of 255), `budget:96` (tokens) or `budget:0.5` (a share of them).

    Raises:
        InputError: no such policy, or its number is missing, wrong or not wanted.

    Examples:
        >>> import vljepa_runtime as vj
        >>> vj.parse_tokens("static:10"), vj.parse_tokens("budget:0.5")
        (StaticTokens(threshold=10.0), SalientTokens(budget=0.5))
        >>> vj.parse_tokens("static:")
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: expected a number after ':', got 'static:': expected all | static | ...
    """
    if not isinstance(spec, str):
        raise InputError(f"expected a token policy as text ({FORMS}), got {spec!r}")
    name, colon, value = spec.strip().lower().partition(":")
    forms = {bool(form.number): form for form in TOKEN_FORMS if form.name == name}
    if not forms:
        hint = did_you_mean(name, [form.name for form in TOKEN_FORMS], lead=", ")
        raise InputError(f"unknown token policy {spec!r}{hint} Expected {FORMS}")
    if (form := forms.get(bool(colon))) is None:
        wanted = "takes no number" if colon else "needs a number"
        raise InputError(f"'{name}' {wanted}, got {spec!r}: expected {FORMS}")
    if not colon:
        return form.make()
    try:
        found = float(value)
    except ValueError:
        raise InputError(f"expected a number after ':', got {spec!r}: expected {FORMS}") from None
    return form.make(found)


def resolve_tokens(tokens: TokenPolicy | str) -> TokenPolicy:
    """A token policy, or the one that a text names.

    Raises:
        InputError: it is neither.
    """
    if isinstance(tokens, str):
        return parse_tokens(tokens)
    if not callable(getattr(tokens, "rank", None)):
        raise InputError(f"expected a token policy or a text ({FORMS}), got {tokens!r}")
    return tokens
