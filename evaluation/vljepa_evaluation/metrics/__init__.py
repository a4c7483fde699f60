"""How good is it: captions, retrieval, intervals, and quality against decodings. Numpy only, no model."""

from vljepa_evaluation.metrics.captions import CiderD, cider_d, tokenise
from vljepa_evaluation.metrics.intervals import Interval, bootstrap_interval
from vljepa_evaluation.metrics.retrieval import ranks, recall_at_k, top1
from vljepa_evaluation.metrics.selective import (
    Annotation,
    CurvePoint,
    EmbeddingStream,
    match_annotations,
    quality_curve,
    ratio_at_equal_quality,
)

__all__ = [
    "Annotation",
    "CiderD",
    "CurvePoint",
    "EmbeddingStream",
    "Interval",
    "bootstrap_interval",
    "cider_d",
    "match_annotations",
    "quality_curve",
    "ranks",
    "ratio_at_equal_quality",
    "recall_at_k",
    "tokenise",
    "top1",
]
