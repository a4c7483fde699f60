"""The parts of a token VLM, run one after the other: vision tower, token table, language model with its cache."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vljepa_apps.measure.baselines.folder import Folder
from vljepa_apps.measure.baselines.loading import load_model, onnx_detail, onnx_session, torch_detail
from vljepa_apps.measure.baselines.processing import Feeds
from vljepa_apps.measure.baselines.protocol import Float32
from vljepa_runtime.files import parse_json

__all__ = ["OnnxStages", "Stages", "TorchStages", "ends_of", "image_token_of", "visual_rows"]

Array = npt.NDArray[Any]


class Stages(Protocol):
    """What runs a token VLM.

    Attributes:
        detail: Library, version, type, threads.
        parameters: Of the whole model.
        image_token: Stands in a prompt where a visual token goes.
        ends: Tokens that end an answer, the usual one first.
    """

    detail: str
    parameters: int
    image_token: int
    ends: tuple[int, ...]

    def see(self, feeds: Feeds) -> Float32:
        """Pictures -> visual tokens (N, D) as the language model takes them."""

    def words(self, ids: Array) -> Float32:
        """Token ids (B, L) -> (B, L, D)."""

    def read(self, embeds: Float32, past: Any) -> tuple[Float32, Any]:
        """Inputs (B, L, D) after what was read before -> logits (B, L, V), and what is read now; `past` is used up."""

    def widened(self, past: Any, count: int) -> Any:
        """A copy of what one row read, for so many rows."""


def image_token_of(config: Any) -> int:
    """The id, which older families name otherwise."""
    return int(getattr(config, "image_token_id", None) or config.image_token_index)


def ends_of(model: Any) -> tuple[int, ...]:
    """Tokens at which the model's own `generate` stops."""
    found = model.generation_config.eos_token_id
    return tuple(found) if isinstance(found, (list, tuple)) else (int(found),) if found is not None else ()


def visual_rows(found: Any) -> Any:
    """What families' `get_image_features` give, as (N, D)."""
    import torch

    rows = getattr(found, "pooler_output", found)
    rows = torch.cat([row.flatten(0, -2) for row in rows]) if isinstance(rows, (list, tuple)) else rows
    return rows.flatten(0, -2)


class TorchStages:
    """See `Stages`; what was read is transformers' own cache."""

    def __init__(self, folder: Folder, *, threads: int | None) -> None:
        import torch

        self._torch, self._model = torch, load_model(folder, threads=threads)
        self.detail, self.parameters = torch_detail(), self._model.num_parameters()
        self.image_token, self.ends = image_token_of(self._model.config), ends_of(self._model)

    def see(self, feeds: Feeds) -> Float32:
        """See `Stages`."""
        with self._torch.inference_mode():
            found = self._model.get_image_features(**{k: self._torch.from_numpy(v) for k, v in feeds.items()})
            rows: Float32 = visual_rows(found).numpy()
        return rows

    def words(self, ids: Array) -> Float32:
        """See `Stages`."""
        with self._torch.inference_mode():
            rows: Float32 = self._model.get_input_embeddings()(self._torch.from_numpy(ids)).numpy()
        return rows

    def read(self, embeds: Float32, past: Any) -> tuple[Float32, Any]:
        """See `Stages`."""
        from transformers import DynamicCache

        with self._torch.inference_mode():
            found = self._model(
                inputs_embeds=self._torch.from_numpy(embeds),
                past_key_values=DynamicCache() if past is None else past,
                use_cache=True,
            )
        return found.logits.numpy(), found.past_key_values

    def widened(self, past: Any, count: int) -> Any:
        """See `Stages`."""
        with self._torch.inference_mode():
            wide = copy.deepcopy(past)
            wide.batch_repeat_interleave(count)
        return wide


class OnnxStages:
    """See `Stages`; what was read is an array of keys and one of values per layer.

    Args:
        graphs: Folder that `exported` gave.
        threads: Threads inside an operator; None takes one per core.
    """

    def __init__(self, graphs: Path, *, threads: int | None) -> None:
        self._vision, self._reader = (
            onnx_session(graphs / f"{n}.onnx", threads) for n in ("image", "reader")
        )
        self._table: Float32 = np.load(graphs / "words.npy", mmap_mode="r")
        facts = parse_json((graphs / "facts.json").read_text(encoding="utf-8"))
        self.detail, self.parameters = onnx_detail(), int(facts["parameters"])
        self.image_token, self.ends = int(facts["image_token"]), tuple(facts["ends"])
        self._names = [node.name for node in self._reader.get_inputs()]
        self._empty: list[Array] = [np.zeros(facts["empty"], np.float32) for _ in self._names[1:]]

    def see(self, feeds: Feeds) -> Float32:
        """See `Stages`."""
        taken = {node.name: feeds[node.name] for node in self._vision.get_inputs()}
        (rows,) = self._vision.run(None, taken)
        return np.asarray(rows, np.float32)

    def words(self, ids: Array) -> Float32:
        """See `Stages`."""
        return np.asarray(self._table[ids], np.float32)

    def read(self, embeds: Float32, past: Any) -> tuple[Float32, Any]:
        """See `Stages`."""
        given = past or [np.repeat(each, len(embeds), axis=0) for each in self._empty]
        logits, *present = self._reader.run(None, dict(zip(self._names, [embeds, *given])))
        return logits, present

    def widened(self, past: Any, count: int) -> Any:
        """See `Stages`."""
        return past if count == 1 else [np.repeat(each, count, axis=0) for each in past]
