"""A model's own processor: what becomes of pictures and texts before they reach its networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_apps.measure.baselines.folder import Folder
from vljepa_apps.measure.baselines.loading import load_image_processor, load_processor, load_tokenizer
from vljepa_apps.measure.baselines.protocol import UInt8, pictures
from vljepa_runtime.preprocessing import Clip

__all__ = ["ClipProcessor", "Feeds", "VlmProcessor"]

FRAMES = 8  # of a clip, where the model takes single pictures
BLANK = 64  # side of the pictures that a prompt is written for; how large they are changes no word of it
LONGEST = 64  # tokens of a text, where the folder does not say
SEES = ("pixel_values", "pixel_attention_mask", "spatial_shapes")
Int64 = npt.NDArray[np.int64]
Feeds = Mapping[str, npt.NDArray[Any]]
"""What a network takes, by name."""


class ClipProcessor:
    """That of a dual encoder.

    Attributes:
        frames: How many of a clip it takes.
    """

    def __init__(self, folder: Folder) -> None:
        self._images, self._tokenizer = load_image_processor(folder), load_tokenizer(folder)
        self._padded = folder.family.padded
        vision, text = folder.config.get("vision_config", {}), folder.config.get("text_config", {})
        self.frames = int(vision.get("num_frames", FRAMES)) if folder.family.clip else FRAMES
        self._longest = int(text.get("max_position_embeddings", LONGEST))

    def pictures(self, frames: UInt8 | Clip) -> Feeds:
        """Frames (T, H, W, 3) -> what the vision tower takes."""
        taken = list(pictures(frames, self.frames))
        found = self._images(taken, return_tensors="np")
        return {name: np.asarray(found[name]) for name in SEES if name in found}

    def tokens(self, texts: Sequence[str]) -> Feeds:
        """Texts -> what the text tower takes; what is too long is cut."""
        padding = "max_length" if self._padded else "longest"
        found = self._tokenizer(
            list(texts), padding=padding, truncation=True, max_length=self._longest, return_tensors="np"
        )
        names = ("input_ids",) if self._padded else ("input_ids", "attention_mask")
        return {name: np.asarray(found[name], np.int64) for name in names}


class VlmProcessor:
    """That of a token VLM; frames of a video are not cut into tiles, as SmolVLM does with photographs.

    Attributes:
        frames: How many of a clip it takes.
    """

    frames = FRAMES

    def __init__(self, folder: Folder) -> None:
        self._processor = load_processor(folder)
        self._nested = folder.config["model_type"] == "idefics3"  # takes the pictures of each text in a list
        self._options = {"do_image_splitting": False} if self._nested else {}

    def pictures(self, frames: UInt8 | Clip) -> Feeds:
        """Frames (T, H, W, 3) -> what the vision tower takes."""
        taken = list(pictures(frames, self.frames))
        given = [taken] if self._nested else taken
        found = self._processor.image_processor(given, return_tensors="np", **self._options)
        return {name: np.asarray(found[name]) for name in SEES if name in found}

    def prompt(self, query: str) -> Int64:
        """Token ids (1, L) of the pictures' places and a query, in the model's own form of a chat."""
        blank = list(np.zeros((self.frames, BLANK, BLANK, 3), np.uint8))
        found = self._processor(
            text=[self._chat(query)],
            images=[blank] if self._nested else blank,
            return_tensors="np",
            **self._options,
        )
        return np.asarray(found["input_ids"], np.int64)

    def ids(self, text: str) -> Sequence[int]:
        """Token ids of a part of an answer."""
        ids: Sequence[int] = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def words(self, ids: Sequence[int]) -> str:
        """The reverse."""
        text: str = self._processor.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def _chat(self, query: str) -> str:
        """Where the folder has no form of a chat, the pictures and then the query."""
        if not getattr(self._processor, "chat_template", None):
            return f"{str(self._processor.image_token) * self.frames} {query}"
        content = [*[{"type": "image"}] * self.frames, {"type": "text", "text": query}]
        chat = [{"role": "user", "content": content}]
        text: str = self._processor.apply_chat_template(chat, add_generation_prompt=True)
        return text
