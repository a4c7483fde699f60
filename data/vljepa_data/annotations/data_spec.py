"""A data set as a command names it: it travels to another process, and is read there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vljepa_data.annotations.data_set import DataSet
from vljepa_data.annotations.opening import name_of, open_data

__all__ = ["DataSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """What `open_data` is given, in plain values; nothing is read before `open`.

    Attributes:
        spec: `NAME=DIR`, `NAME=FILE` or `FILE`.
        limit: Clips at most.
        prompts: By task.
        labels: File of labels.
        templates: File of templates.
        format: Of an annotation file.
        videos: Folder of an annotation file's videos.
        split: Of an annotation file.

    Examples:
        >>> from dataclasses import asdict
        >>> from vljepa_data.annotations import DataSpec
        >>> own = DataSpec(spec="mine=clips.csv", limit=1)
        >>> own.name, len(DataSpec(**asdict(own)).open().segments())
        ('mine', 1)
    """

    spec: str
    limit: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    labels: str | None = None
    templates: str | None = None
    format: str = "auto"
    videos: str | None = None
    split: str | None = None

    @property
    def name(self) -> str:
        """Of the data set.

        Raises:
            AnnotationError: see `open_data`.
        """
        return name_of(self.spec)

    def open(self, progress: Callable[[float, str], None] = lambda share, what: None) -> DataSet:
        """Read it.

        Raises:
            AnnotationError: see `open_data`.
        """
        return open_data(
            self.spec,
            limit=self.limit,
            prompts=self.prompts,
            labels=self.labels,
            templates=self.templates,
            format=self.format,
            videos=self.videos,
            split=self.split,
            progress=progress,
        )
