"""The one table of precisions: unambiguous, complete, light, and each row's way down ends at fp32."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import pytest

from vljepa_evaluation.gates import EIGHT_BIT, HALF
from vljepa_quant import PRECISIONS, Precision, limits_for, precisions_of
from vljepa_runtime.errors import InputError
from vljepa_runtime.targets import TARGETS

ROWS = [pytest.param(row, id=f"{next(iter(row.formats), 'every')}-{row.name}") for row in PRECISIONS]


def test_a_name_means_one_row_of_a_format() -> None:
    offered = [(format, row.name) for row in PRECISIONS for format in row.formats or TARGETS]
    assert max(Counter(offered).values()) == 1
    assert {format for format, _ in offered} == set(TARGETS)


@pytest.mark.parametrize("row", ROWS)
def test_name_and_label_lead_to_the_limits_of_the_row(row: Precision) -> None:
    assert limits_for(row.name) is limits_for(row.label) is row.limits


@pytest.mark.parametrize("row", ROWS)
def test_a_method_is_a_file_of_the_package(row: Precision) -> None:
    assert not row.method or find_spec(f"vljepa_quant.{row.method}") is not None


@pytest.mark.parametrize("format", TARGETS)
def test_a_miss_leads_to_fp32_at_last(format: str) -> None:
    rows = precisions_of(format)
    for row in rows.values():
        seen = [row]
        while (milder := seen[-1].milder) is not None:
            assert rows[milder] not in seen
            seen.append(rows[milder])
        assert seen[-1].name == "fp32"


def test_labels_find_their_limits() -> None:
    assert limits_for("int8-dynamic") is limits_for("w8a8") is EIGHT_BIT
    assert limits_for("bf16") is HALF
    with pytest.raises(InputError, match=r"precision of this version .*got 'fp3'"):
        limits_for("fp3")


def test_the_table_is_light() -> None:
    heavy = "{'torch', 'onnx', 'numpy', 'openvino', 'nncf', 'coremltools'}"
    code = f"import sys, vljepa_quant.precisions; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
