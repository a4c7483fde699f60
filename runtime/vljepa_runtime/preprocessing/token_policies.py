"""The table of token policies, as `--tokens` takes them: which tubelets of a window are encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vljepa_runtime.forms import Form, FormTable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vljepa_runtime.preprocessing.changes import Noise
    from vljepa_runtime.preprocessing.patches import Clip

    Float32 = npt.NDArray[np.float32]
    UInt8 = npt.NDArray[np.uint8]
    Int32 = npt.NDArray[np.int32]

__all__ = ["TOKENS_HELP", "TOKEN_FORMS", "TokenPolicy", "completes", "parse_tokens", "resolve_tokens"]


class TokenPolicy(Protocol):
    """Which tubelets of a window are encoded; immutable, and shared by all streams.

    One whose attribute `completes` is True leaves out what another instant of the same place shows: the predictor is
    then given tokens for all tubelets, see `stand_ins`.
    """

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


TOKEN_FORMS = (  # the first one is the default
    Form("all", "preprocessing.token_budgets:AllTokens"),
    Form("static", "preprocessing.static_tokens:StaticTokens"),
    Form("static", "preprocessing.static_tokens:StaticTokens", number="LEVELS", argument="threshold"),
    Form("budget", "preprocessing.token_budgets:SalientTokens", number="K", argument="budget"),
)
TABLE: FormTable[TokenPolicy] = FormTable("token policy", TOKEN_FORMS, method="rank")
TOKENS_HELP = TABLE.help


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
    return TABLE.read(spec)


def completes(policy: TokenPolicy) -> bool:
    """Whether the tubelets that a policy keeps stand for those that it leaves out."""
    return bool(getattr(policy, "completes", False))


def resolve_tokens(tokens: TokenPolicy | str) -> TokenPolicy:
    """A token policy, or the one that a text names.

    Raises:
        InputError: it is neither.
    """
    return TABLE.resolve(tokens)
