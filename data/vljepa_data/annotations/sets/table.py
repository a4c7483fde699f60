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


def _row(title: str, parts: Mapping[str, str], *, files: str, source: str, real: bool = False) -> DataForm:
    """Parts as name, or `name: task`, and what reads them."""
    made = []
    for named, reads in parts.items():
        name, _, task = named.partition(": ")
        made.append(PartForm(name, task or name, reads))
    return DataForm(title=title, parts=tuple(made), files=files, real=real, source=source)


DATA_SETS: Mapping[str, DataForm] = {
    "kinetics": _row(
        "Kinetics",
        {"classification": "kinetics:read"},
        files="kinetics-400_val.csv, validate.csv or val.csv",
        source="activitynet/ActivityNet: Crawler/Kinetics/data/kinetics-400_val.csv",
        real=True,
    ),
    "ssv2": _row(
        "Something-Something V2",
        {"classification": "ssv2:read"},
        files="something-something-v2-validation.json or validation.json; the labels beside it",
        source="20BN's release: a list of {id, label, template, placeholders}",
    ),
    "epic-kitchens-100": _row(
        "EPIC-Kitchens-100",
        {"classification": "epic_kitchens:read", "anticipation": "epic_kitchens:read"},
        files="EPIC_100_validation.csv; EPIC_100_verb_classes.csv, EPIC_100_noun_classes.csv",
        source="epic-kitchens/epic-kitchens-100-annotations: README.md",
    ),
    "egoexo4d": _row(
        "EgoExo4D",
        {
            "keystep-recognition: classification": "ego_exo4d:read_keysteps",
            "streaming": "ego_exo4d:read_descriptions",
        },
        files="keystep_val.json; atomic_descriptions_val.json, takes.json",
        source="EGO4D/Ego-Exo4D-docs: keystep.md, atomic_descriptions.md (annotations)",
    ),
    "coin": _row(
        "COIN",
        {
            "step-recognition: classification": "coin:read_steps",
            "task-recognition: classification": "coin:read_tasks",
            "next-step: classification": "coin:read_next_steps",
        },
        files="COIN.json",
        source="coin-dataset/annotations: README.md",
    ),
    "crosstask": _row(
        "CrossTask",
        {
            "step-recognition: classification": "cross_task:read_steps",
            "task-recognition: classification": "cross_task:read_tasks",
        },
        files="tasks_primary.txt; videos_val.csv or videos.csv; annotations/TASK_VIDEO.csv",
        source="DmZhukov/CrossTask: data.py",
    ),
    "msr-vtt": _row(
        "MSR-VTT",
        {"retrieval": "msr_vtt:read", "captioning": "msr_vtt:read"},
        files="MSRVTT_JSFUSION_test.csv, MSRVTT_data.json or test_videodatainfo.json",
        source="jpthu17/EMCL: video_retrieval/EMCL-Net/data/MSR-VTT/anns/MSRVTT_JSFUSION_test.csv",
        real=True,
    ),
    "activitynet": _row(
        "ActivityNet Captions",
        {
            "retrieval": "activitynet:read_paragraphs",
            "captioning": "activitynet:read_moments",
            "moments": "activitynet:read_moments",
        },
        files="val_1.json, val_2.json or val.json",
        source="ttengwang/PDVC/data/anet/captiondata",
        real=True,
    ),
    "didemo": _row(
        "DiDeMo",
        {"retrieval": "didemo:read_paragraphs", "moments": "didemo:read_moments"},
        files="test_data.json",
        source="LisaAnne/LocalizingMoments: README.md",
    ),
    "msvd": _row(
        "MSVD",
        {"retrieval": "msvd:read", "captioning": "msvd:read"},
        files="AllVideoDescriptions.txt or video_corpus.csv; test_list.txt",
        source="the release of Microsoft Research: one description a line",
    ),
    "youcook2": _row(
        "YouCook2",
        {"retrieval": "youcook2:read_clips", "captioning": "youcook2:read_segments"},
        files="validation_youcook.csv; yc2_annotations_trainval.json or youcookii_annotations_trainval.json",
        source="antoine77340/MIL-NCE_HowTo100M: csv; jayleicn/recurrent-transformer: densevid_eval/yc2_data",
        real=True,
    ),
    "pvd-bench": _row(
        "PVD-Bench",
        {"retrieval": "pvd:read", "captioning": "pvd:read"},
        files="test/KEY.json beside test/KEY.mp4",
        source="facebook/PE-Video on the Hugging Face hub: pairs in WebDataset archives",
    ),
    "dream-1k": _row(
        "DREAM-1K",
        {"retrieval": "dream1k:read", "captioning": "dream1k:read"},
        files="DREAM-1k.jsonl or metadata.json",
        source="bytedance/tarsier: data/annotations/DREAM-1k.jsonl",
        real=True,
    ),
    "vdc": _row(
        "VDC",
        {"retrieval": "vdc:read_captions", "open-vqa": "vdc:read_questions"},
        files="VDC_1k.jsonl; detailed.jsonl, short.jsonl, camera.jsonl, background.jsonl, main_object.jsonl",
        source="rese1f/aurora: post_eval (questions, real); wchai/Video-Detailed-Caption (captions)",
        real=True,
    ),
    "gqa": _row(
        "GQA",
        {"vqa": "gqa:read", "open-vqa": "gqa:read"},
        files="testdev_balanced_questions.json",
        source="TRI-ML/vlm-evaluation: vlm_eval/tasks/harnesses/gqa.py",
    ),
    "tallyqa": _row(
        "TallyQA",
        {"vqa": "tally_qa:read"},
        files="test.json",
        source="manoja328/TallyQA_dataset: README.md",
    ),
    "pope": _row(
        "POPE",
        {"vqa": "pope:read"},
        files="coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json",
        source="RUCAIBox/POPE: output/coco",
        real=True,
    ),
    "popev2": _row(
        "POPEv2",
        {"vqa": "pope_v2:read"},
        files="popev2.jsonl",
        source="Monosail/POPEv2 on the Hugging Face hub: fields of test.parquet",
    ),
    "sugarcrepe++": _row(
        "SugarCrepe++",
        {"contrasts": "sugar_crepe:read"},
        files="replace_att.json, replace_obj.json, replace_rel.json, swap_att.json, swap_obj.json",
        source="Sri-Harsha/scpp: data",
        real=True,
    ),
    "visla": _row(
        "VISLA",
        {"contrasts": "visla:read"},
        files="SugarCrepe.tsv, VSR_spatial.tsv",
        source="Sri-Harsha/visla_benchmark: data",
    ),
    "worldprediction": _row(
        "WorldPrediction-WM",
        {"transitions": "world_prediction:read"},
        files="worldprediction_wm.jsonl",
        source="a list of one's own: the release's layout is not known here",
    ),
}
"""By the name that `open_data` takes, in the order of the paper's tables."""
