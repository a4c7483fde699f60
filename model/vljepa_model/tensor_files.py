"""Tensors on disk: mapped one at a time from safetensors or torch files, and streamed into one safetensors file.

Nothing is unpickled beyond what torch's `weights_only` loader allows, and no file is ever in memory as a whole.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from vljepa_model.errors import CheckpointError
from vljepa_runtime.files import parse_json
from vljepa_runtime.files import tensors as layout
from vljepa_runtime.files.tensors import NAMES, Place

__all__ = ["TensorFiles", "open_tensors", "read_json", "write_tensors"]

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".tar")
TORCH_FILE = "pytorch_model.bin"
MAX_JSON_BYTES = 64 << 20  # a shard index of the largest public models has a few megabytes
DTYPES = {
    **{code: getattr(torch, name) for code, name in NAMES.items()},
    **{"BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


class TensorFiles:
    """Named tensors of one or several files; a tensor is mapped when it is asked for.

    Attributes:
        where: The file or folder, for messages.
        values: What else a torch file holds beside tensors, by dotted name.
    """

    def __init__(
        self,
        where: Path,
        shapes: Mapping[str, tuple[int, ...]],
        get: Callable[[str], Tensor],
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.where = where
        self.values = dict(values or {})
        self._shapes, self._get = dict(shapes), get

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor, without reading it."""
        return self._shapes[name]

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._get(name)
        except (OSError, RuntimeError, ValueError, TypeError, LookupError) as error:
            raise CheckpointError(f"cannot read {name} from {self.where}: {error}") from error

    def beneath(self, prefix: str) -> TensorFiles:
        """Only the tensors and values whose name starts with `prefix`, without it."""
        cut = len(prefix)
        shapes = {name[cut:]: shape for name, shape in self._shapes.items() if name.startswith(prefix)}
        values = {name[cut:]: value for name, value in self.values.items() if name.startswith(prefix)}
        return TensorFiles(self.where, shapes, lambda name: self._get(prefix + name), values)


def open_tensors(path: str | Path) -> TensorFiles:
    """Open a safetensors file, a torch zip file, or a folder as Hugging Face models have it (also in shards).

    Raises:
        CheckpointError: nothing readable is there.
    """
    place = Path(path)
    if place.is_dir():
        if (place / INDEX).is_file():
            return _shards(place)
        for name in (SINGLE, TORCH_FILE):
            if (place / name).is_file():
                return open_tensors(place / name)
        raise CheckpointError(f"{place} holds no weights: expected {SINGLE}, {INDEX} or {TORCH_FILE}")
    if not place.is_file():
        raise CheckpointError(f"{place} does not exist: name a file or folder of weights")
    if place.suffix == ".safetensors":
        return _safetensors([place], place)
    if place.suffix in TORCH_SUFFIXES:
        return _torch_zip(place)
    raise CheckpointError(f"{place}: expected a .safetensors, .pt, .pth or .bin file of weights")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: it is missing, too large or not a JSON object.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path} has {path.stat().st_size} bytes: is this a JSON file?")
        plain = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} lacks {path.name}: name the whole model folder") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(plain, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(plain).__name__}")
    return plain


def write_tensors(
    file: BinaryIO,
    plan: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    get: Callable[[str], Tensor],
) -> None:
    """Write a safetensors file tensor by tensor, so that one is in memory at a time.

    Args:
        file: Opened for writing.
        plan: Type and shape per name.
        get: Gives the tensor of a name; called once each, in the order of the plan.

    Raises:
        CheckpointError: a tensor has another shape than planned, or values that its type cannot hold.
    """
    blocks = (_block(name, get(name), *kind) for name, kind in plan.items())
    codes = {name: (CODES[dtype], shape) for name, (dtype, shape) in plan.items()}
    layout.write_tensors(file, codes, blocks, {"format": "pt"})


def _block(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> memoryview:
    if tuple(tensor.shape) != shape:
        raise CheckpointError(f"{name}: expected shape {shape}, got {tuple(tensor.shape)}")
    stored = tensor.detach().to("cpu", dtype).contiguous()
    if not bool(torch.isfinite(stored).all()):
        raise CheckpointError(
            f"{name} has values that {dtype} cannot hold, or NaN: save as fp32, or mend the training"
        )
    return stored.reshape(-1).view(torch.uint8).numpy().data


def _shards(folder: Path) -> TensorFiles:
    listed = read_json(folder / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise CheckpointError(f"{folder / INDEX}: expected a weight_map of tensor names to files")
    files = sorted({str(name) for name in listed.values()})
    if odd := [name for name in files if Path(name).name != name]:
        raise CheckpointError(f"{folder / INDEX}: expected files of this folder, got {odd[0]!r}")
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise CheckpointError(f"{folder} lacks {missing[0]} that its index names: download it again")
    found = _safetensors([folder / name for name in files], folder)
    if lost := [name for name in listed if name not in found]:
        raise CheckpointError(f"{folder}: its index names {lost[0]}, which no shard holds: download it again")
    return found


def _safetensors(paths: list[Path], where: Path) -> TensorFiles:
    places: dict[str, tuple[mmap.mmap, Place]] = {}
    for path in paths:
        try:
            with path.open("rb") as file:  # a copy of its own: weights may be trained where they lie
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            header, _ = layout.read_header(memoryview(mapped))
        except (ValueError, OSError) as error:
            raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
        places |= {name: (mapped, place) for name, place in header.items()}
    shapes = {name: place.shape for name, (_, place) in places.items()}
    return TensorFiles(where, shapes, lambda name: _mapped_tensor(*places[name]))


def _mapped_tensor(mapped: mmap.mmap, place: Place) -> Tensor:
    dtype, count = DTYPES[place.dtype], math.prod(place.shape)
    if count == 0:
        return torch.empty(place.shape, dtype=dtype)
    if place.start % dtype.itemsize:
        flat = torch.frombuffer(bytearray(mapped[place.start : place.end]), dtype=dtype)
    else:
        flat = torch.frombuffer(mapped, dtype=dtype, count=count, offset=place.start)
    return flat.reshape(place.shape)


def _torch_zip(path: Path) -> TensorFiles:
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise CheckpointError(
                f"{path} is not a torch zip file: save it with torch.save of torch 1.6 or later"
            )
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError, KeyError, ...
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(
            f"{path} is damaged, or holds more than tensors and plain values, which is not executed: {reason}"
        ) from error
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    _flatten(content, "", tensors, values)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return TensorFiles(path, shapes, tensors.__getitem__, values)


def _flatten(content: Any, prefix: str, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    if isinstance(content, Tensor):
        tensors[prefix] = content
    elif isinstance(content, Mapping):
        for key, part in content.items():
            _flatten(part, f"{prefix}.{key}" if prefix else str(key), tensors, values)
    else:
        values[prefix] = content
