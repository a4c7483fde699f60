"""The X-encoder's input of one window: its tubelets, or those that a token policy wants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing.changes import Noise
from vljepa_runtime.preprocessing.patches import Clip, patchify
from vljepa_runtime.preprocessing.token_policies import TokenPolicy, resolve_tokens

__all__ = ["clip_tokens"]

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


def clip_tokens(
    clip: Clip,
    *,
    tokens: TokenPolicy | str = "all",
    noise: Noise | None = None,
    budgets: Sequence[int] = (),
) -> tuple[UInt8, Int32]:
    """The X-encoder's input for one clip: all its tubelets, or the wanted ones in token order.

    Args:
        clip: A fitted window.
        tokens: Which are wanted: a policy, or what `parse_tokens` reads.
        noise: Of the stream it is from; None where it is from none.
        budgets: The only counts that there may be; more are taken than are wanted, up to the next one.

    Returns:
        patches (count, P) uint8 and positions (count, 3) int32 = (t, h, w) tubelet indices.

    Raises:
        InputError: more are wanted than the window or the largest budget has.
    """
    patches, positions = patchify(clip)
    score, wanted = resolve_tokens(tokens).rank(clip, patches, positions, noise or Noise())
    count = min((budget for budget in budgets if budget >= wanted), default=0 if budgets else wanted)
    if not count:
        raise InputError(
            f"expected a token budget of {', '.join(map(str, budgets))}, got {wanted} tokens: "
            f"pass tokens='budget:{max(budgets)}'"
        )
    if count >= len(patches):
        return patches, positions
    kept = np.sort(np.argpartition(-score, count - 1)[:count])
    return patches[kept], positions[kept]
