"""Windows of one stream become ready for the X-encoder: what is new in them is cut into tubelets, the rest is kept.

Owns what is remembered of the stream's pictures; knows no source, query or event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vljepa_runtime.arguments import number
from vljepa_runtime.errors import InputError
from vljepa_runtime.predicting import NO_TUBELETS, PredictedWindow, PreparedWindow
from vljepa_runtime.preprocessing.changes import Noise, WindowGate
from vljepa_runtime.preprocessing.token_budgets import AllTokens, SalientTokens
from vljepa_runtime.preprocessing.token_policies import TokenPolicy, completes, resolve_tokens

if TYPE_CHECKING:
    from vljepa_runtime.model import Model
    from vljepa_runtime.preprocessing.sampling import Window

__all__ = ["WindowPreparer"]


class WindowPreparer:
    """Says of each window which tubelets are encoded, or which prediction it keeps.

    Args:
        model: What will encode them.
        tokens: See `Session`.
        carry_s: See `Session`.
        pools: A policy wants the pooled tokens of whole windows.

    Raises:
        InputError: there is no such token policy, or it leaves out what is to be pooled.
    """

    def __init__(self, model: Model, *, tokens: TokenPolicy | str, carry_s: float, pools: bool) -> None:
        self._model, self._tokens = model, resolve_tokens(tokens)
        if isinstance(self._tokens, SalientTokens):
            self._tokens.count(of=model.preprocess.tokens)
        is_whole = isinstance(self._tokens, AllTokens)
        if pools and not is_whole:
            raise InputError("pooled tokens are those of whole windows: leave out tokens")
        self._pools = pools or (is_whole and getattr(model, "novelty", None) is not None)
        self._noise = Noise()
        max_age_s = number(carry_s, "carry_s", least=0)
        self._gate: WindowGate[PredictedWindow] = WindowGate(self._noise, max_age_s=max_age_s)

    def prepared(self, window: Window, queries: tuple[str, ...]) -> PreparedWindow:
        """A window as it is predicted; what it took to read it is not known here.

        Args:
            window: As it was cut from the stream.
            queries: What it will be asked: a prediction for others is not kept.
        """
        carried = self._gate.found_for(window)
        if carried is not None and carried.queries != queries:
            carried = None
        patches, positions = (
            self._model.patches(window.clip, tokens=self._tokens, noise=self._noise)
            if carried is None
            else NO_TUBELETS
        )
        return PreparedWindow(
            window=window,
            patches=patches,
            positions=positions,
            pools=self._pools,
            carried=carried,
            completes=completes(self._tokens),
        )

    def predicted(self, predicted: PredictedWindow) -> None:
        """A window has its prediction; those after it may keep it, if it was encoded. From any thread."""
        if not predicted.window.carried:
            self._gate.encoded(predicted.window, predicted)
