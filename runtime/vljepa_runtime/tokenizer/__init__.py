"""Text to ids and back, by a `tokenizer.json` of which only what is understood is admitted."""

from vljepa_runtime.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
