"""The one table of formats: complete, unambiguous, and what the manifest, the gates and the engines know."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_export.errors import ExportError
from vljepa_export.formats import FORMATS, Format, find_format, load_target
from vljepa_quant import limits_for
from vljepa_runtime.engines import families
from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.targets import TARGETS

ROWS = [pytest.param(row, id=row.name) for row in FORMATS.values()]


def test_the_manifest_knows_the_same_targets() -> None:
    assert tuple(FORMATS) == tuple(TARGETS)


def test_every_word_means_one_format() -> None:
    words = [word for row in FORMATS.values() for word in (row.name, *row.aliases)]
    assert len(set(words)) == len(words)
    assert {find_format(word).name for word in words} == set(FORMATS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_fits_the_rest_of_the_house(row: Format) -> None:
    assert "fp32" in row.precisions  # what a mapping leaves out, and what a miss falls back to
    engines = {family.name for family in families() if row.name in family.targets}
    assert set(row.engines) == engines


@pytest.mark.parametrize(
    ("word", "match"),
    [("onx", "did you mean 'onnx'"), ("open-vino", "did you mean 'openvino'"), ("zzz", "onnx | openvino")],
)
def test_an_unknown_format_is_told(word: str, match: str) -> None:
    with pytest.raises(ExportError, match=match.replace("|", r"\|")):
        find_format(word)


def test_a_missing_library_names_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install .*\[moon\]"):
        load_target(replace(FORMATS["onnx"], needs=(("no_such_package", "moon"),)))


def test_a_missing_converter_is_told() -> None:
    with pytest.raises(ExportError, match=r"cannot write onnx bundles.*or choose one of openvino"):
        load_target(replace(FORMATS["onnx"], module="vljepa_export.targets.moon"))


def test_the_table_is_light() -> None:
    heavy = "{'torch', 'onnx', 'numpy', 'openvino'}"
    code = f"import sys, vljepa_export.formats; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("row", ROWS)
def test_the_documentation_has_the_row(row: Format, repository: Path) -> None:
    def code(words: tuple[str, ...]) -> str:
        return ", ".join(f"`{word}`" for word in words)

    shapes = "free" if row.free_shapes else "token budgets"
    cells = (code((row.name,)), code(row.aliases), code((row.suffix,)), row.builds_on, row.runs_on)
    line = " | ".join((*cells, code(row.engines), code(row.precisions), shapes))
    assert f"| {line} |" in (repository / "docs" / "export.md").read_text(encoding="utf-8").splitlines()


def test_the_documentation_has_the_limits(repository: Path) -> None:
    columns = [limits_for(name) for name in ("fp32", "fp16", "int8", "int4")]
    rows = [
        " | ".join(f"{each.mean_cosine:g} / {each.p1_cosine:g} / {each.worst_cosine:g}" for each in columns),
        " | ".join(f"{each.psnr_db:g} dB" for each in columns),
        *(
            " | ".join(f"{getattr(each, name):g}" for each in columns)
            for name in ("embedding_cosine", "overlap", "labels", "triggers")
        ),
    ]
    page = (repository / "docs" / "export.md").read_text(encoding="utf-8")
    assert [row for row in rows if f"| {row} |" not in page] == []
