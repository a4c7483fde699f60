"""How one tensor of ours is made of published ones, and the check that a file holds just those."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vljepa_model.errors import CheckpointError
from vljepa_model.tensor_files import TensorFiles

__all__ = ["Converters", "WeightConverter", "check_tensors", "first_prefix"]

Shape = tuple[int, ...]


def concatenated(*tensors: Tensor) -> Tensor:
    """The rows of all; a single tensor stays as it is, mapped from its file."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightConverter:
    """One tensor of ours.

    Attributes:
        sources: Published names and the shapes that the configuration asks for.
        make: Turns those tensors into ours.
        exact: Computed in float32 and stored so, whatever the file's type: norms and other small vectors.
    """

    sources: Mapping[str, Shape]
    make: Callable[..., Tensor] = field(default=concatenated)
    exact: bool = False

    def convert(self, files: TensorFiles | Mapping[str, Tensor]) -> Tensor:
        """Make the tensor."""
        parts = [files[name] for name in self.sources]
        return self.make(*(part.float() for part in parts) if self.exact else parts)


Converters = Mapping[str, WeightConverter]


def check_tensors(
    files: TensorFiles, converters: Converters, *, what: str, ignore: Iterable[str] = ()
) -> None:
    """Compare what a file holds with what is needed, before anything is read.

    Args:
        files: An opened file or folder.
        converters: Each names the tensors that it needs, with their shapes.
        what: For the message, such as `a V-JEPA 2 encoder of 24 layers`.
        ignore: Patterns of names that may be there and are left.

    Raises:
        CheckpointError: tensors are missing, surplus or of another shape.
    """
    wanted = {name: shape for converter in converters.values() for name, shape in converter.sources.items()}
    skip = re.compile("|".join(ignore) or r"(?!)")
    missing = sorted(name for name in wanted if name not in files)
    surplus = sorted(name for name in files if name not in wanted and not skip.match(name))
    shapes = [
        f"{name} {files.shape(name)} instead of {shape}"
        for name, shape in wanted.items()
        if name in files and files.shape(name) != shape
    ]
    for kind, names in (("missing", missing), ("misshaped", shapes), ("surplus", surplus)):
        if names:
            raise CheckpointError(
                f"{files.where} is not {what}: {len(names)} tensors {kind}, first {', '.join(names[:3])}"
            )


def first_prefix(files: TensorFiles, prefixes: Iterable[str], tensor: str, *, what: str) -> TensorFiles:
    """The part of a file under the first prefix at which `tensor` is found.

    Raises:
        CheckpointError: it is under none.
    """
    tried = list(prefixes)
    for prefix in tried:
        if prefix + tensor in files:
            return files.beneath(prefix)
    raise CheckpointError(f"{files.where} is not {what}: it has no tensor {tried[0]}{tensor}")
