"""Which published data sets can be read, for which tasks, and where their layout is known from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.records import Item

__all__ = ["DATA_SETS", "DataForm", "PartForm"]


@dataclass(frozen=True, slots=True)
class PartForm:
    """One task on a published data set.

    Attributes:
        name: In a report.
        task: A key of TASK_PROMPTS.
        reads: File of this package and function, called with the folder; gives items.
    """

    name: str
    task: str
    reads: str

    def read(self, folder: DataFolder) -> Iterator[Item]:
        """The items, whether their videos are there or not.

        Raises:
            AnnotationError: a file is missing or wrong.
        """
        found: Iterator[Item] = resolve_name(f"vljepa_data.annotations.sets.{self.reads}")(folder)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class DataForm:
    """A published data set.

    Attributes:
        title: Its name in the literature.
        parts: The tasks it is used for.
        files: The annotation files that are looked for.
        real: Whether the reader was tested with the published file; else with one written as the layout is documented.
        source: Where the file, or its layout, was found: repository and path.
    """

    title: str
    parts: tuple[PartForm, ...]
    files: str
    real: bool
    source: str


DATA_SETS: Mapping[str, DataForm] = {
    "msr-vtt": DataForm(
        title="MSR-VTT",
        parts=(
            PartForm("retrieval", "retrieval", "msr_vtt:read"),
            PartForm("captioning", "captioning", "msr_vtt:read"),
        ),
        files="MSRVTT_JSFUSION_test.csv, MSRVTT_data.json or test_videodatainfo.json",
        real=True,
        source="jpthu17/EMCL: video_retrieval/EMCL-Net/data/MSR-VTT/anns/MSRVTT_JSFUSION_test.csv",
    ),
    "pope": DataForm(
        title="POPE",
        parts=(PartForm("vqa", "vqa", "pope:read"),),
        files="coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json",
        real=True,
        source="RUCAIBox/POPE: output/coco",
    ),
}
