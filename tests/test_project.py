"""The architecture itself: which package may import which, what stays light, what is public."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_packages import PACKAGES

from vljepa_apps.commands import COMMANDS, module_of

ROOT = Path(__file__).resolve().parents[1]
LIGHT = ("vljepa_runtime", "vljepa_data", "vljepa_evaluation", "vljepa_log", "vljepa_teach")
ALLOWED = {  # package -> what it may import; runtime at the bottom, quant and model beside each other
    "vljepa_runtime": set(),
    "vljepa_data": {"vljepa_runtime"},
    "vljepa_evaluation": {"vljepa_data", "vljepa_runtime"},
    "vljepa_model": {"vljepa_evaluation", "vljepa_data", "vljepa_runtime"},
    "vljepa_quant": {"vljepa_evaluation", "vljepa_data", "vljepa_runtime"},
    "vljepa_log": {"vljepa_runtime"},
    "vljepa_teach": {"vljepa_data", "vljepa_log", "vljepa_runtime"},
    "vljepa_serve": {"vljepa_teach", "vljepa_log", "vljepa_runtime"},
    "vljepa_export": {"vljepa_quant", "vljepa_model", "vljepa_evaluation", "vljepa_data", "vljepa_runtime"},
    "vljepa_apps": set(PACKAGES) - {"vljepa_apps"},
}
HEAVY = {"torch", "transformers", "onnx", "onnxscript", "matplotlib", "safetensors", "fastapi", "flask"}
HEAVY_FOR_HELP = HEAVY | {"numpy", "cv2", "av", "onnxruntime", "tokenizers", "vljepa_runtime.model"}


def fresh(code: str, *arguments: str) -> str:
    """Run `code` in a new interpreter and return its stdout."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT / "tests",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """Top-level names in `sys.modules` after `code` ran in a new interpreter."""
    report = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    return set(json.loads(fresh(f"{code}\n{report}").splitlines()[-1]))


def modules_of(package: str) -> list[str]:
    """Every module of a package, found without importing any of them."""
    folder = ROOT / PACKAGES[package] / package
    found = pkgutil.walk_packages([str(folder)], prefix=f"{package}.")
    return [package, *(info.name for info in found if not info.name.endswith("__main__"))]


def sources() -> Iterator[tuple[str, Path]]:
    """(package, file) of every source file."""
    for package, folder in PACKAGES.items():
        for path in sorted((ROOT / folder / package).rglob("*.py")):
            yield package, path


def imported_names(path: Path) -> set[str]:
    """Top-level names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    ours = set(PACKAGES)
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for owner, path in sources()
        if owner == package
        for name in (imported_names(path) & ours) - ALLOWED[package] - {package}
    }
    assert not wrong


SHARED = {  # files below a room that another package needs whole: what exporters and measurements share with engines
    "vljepa_runtime.engines.coreml_tools",
    "vljepa_runtime.engines.fixed_shapes",
    "vljepa_runtime.engines.openvino_library",
    "vljepa_runtime.engines.processor",
    "vljepa_runtime.engines.session_options",
    "vljepa_runtime.engines.trt",
    "vljepa_runtime.files.tensors",
    "vljepa_runtime.files.values",
}


def public_names(module: str) -> set[str]:
    """What a module offers to other packages."""
    offered: list[str] = importlib.import_module(module).__all__
    return set(offered)


@pytest.mark.parametrize("package", PACKAGES)
def test_another_package_is_entered_by_its_doors(package: str) -> None:
    """A package takes from another what its root or one of its rooms offers, and reaches no deeper."""
    pytest.importorskip("torch")
    wrong = []
    for _, path in (pair for pair in sources() if pair[0] == package):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            module = getattr(node, "module", None) or ""
            if not isinstance(node, ast.ImportFrom) or module.partition(".")[0] not in {*PACKAGES} - {
                package
            }:
                continue
            rooms = {name.rpartition(".")[2] for name in modules_of(module.partition(".")[0])}
            names = {alias.name for alias in node.names}
            deep = module.count(".") > 1 and module not in SHARED
            if deep or names - public_names(module) - rooms:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {module} {sorted(names)}")
    assert wrong == []


@pytest.mark.parametrize("package", LIGHT)
def test_light_packages_load_nothing_heavy(package: str) -> None:
    imports = "\n".join(f"import {name}" for name in modules_of(package))
    assert not loaded_by(imports) & HEAVY


def test_importing_the_runtime_leaves_engines_and_decoders_for_later() -> None:
    assert not loaded_by("import vljepa_runtime") & (HEAVY | {"openvino", "onnxruntime"})


@pytest.mark.parametrize("argument", ["--help", "--version", "no-such-command"])
def test_the_umbrella_loads_nothing_heavy(argument: str) -> None:
    code = f"from vljepa_apps.main import main\nmain([{argument!r}])"
    assert not loaded_by(code) & HEAVY_FOR_HELP


@pytest.mark.parametrize("name", ["ask", "train", "import"])
def test_the_umbrella_loads_a_command_when_it_is_called_and_no_other(name: str) -> None:
    code = (
        "import sys\n"
        "from vljepa_apps.main import main\n"
        f"try: main([{name!r}, '--help'])\n"
        "except SystemExit: pass\n"
        "print({m.split('.')[2] for m in sys.modules if m.startswith('vljepa_apps.commands.')})"
    )
    assert fresh(code).splitlines()[-1] == repr({module_of(name).rpartition(".")[2]})


@pytest.mark.parametrize("package", PACKAGES)
def test_all_names_what_is_there_once(package: str) -> None:
    if package == "vljepa_model":
        pytest.importorskip("torch")
    module = importlib.import_module(package)
    names = list(module.__all__)
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_all_and_the_package_file_agree(package: str) -> None:
    """What `__init__` imports or defines without an underscore is public, and nothing else is."""
    tree = ast.parse((ROOT / PACKAGES[package] / package / "__init__.py").read_text(encoding="utf-8"))
    defined: set[str] = set()
    declared: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            defined |= {alias.asname or alias.name for alias in node.names if node.module.startswith(package)}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == "__all__":
                declared = set(ast.literal_eval(node.value))
    assert {name for name in defined if not name.startswith("_")} <= declared


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_keeps_its_promise(name: str) -> None:
    module = importlib.import_module(module_of(name))
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_help_of_the_commands_needs_no_extra() -> None:
    code = (
        "from vljepa_apps.main import main\n"
        f"for name in {list(COMMANDS)!r}:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit as stopped: assert not stopped.code, name\n"
    )
    assert not loaded_by(code) & HEAVY


def test_every_module_says_what_it_is() -> None:
    silent = [str(path) for _, path in sources() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def test_no_file_is_a_drawer() -> None:
    drawers = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert [str(path) for _, path in sources() if path.name in drawers] == []


def test_every_package_is_in_the_wheel() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert [p for p, folder in PACKAGES.items() if f'"{folder}/{p}"' not in text] == []
    assert [p for p, folder in PACKAGES.items() if not (ROOT / folder / p / "py.typed").is_file()] == []


def test_the_wheel_has_less_than_ten_megabytes() -> None:
    """What hatchling packs: the packages without what is excluded, each file compressed."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (excluded,) = re.findall(r'^exclude = \["([^"]+)"\]', text, re.MULTILINE)
    paths = [path for p, folder in PACKAGES.items() for path in (ROOT / folder / p).rglob("*")]
    packed = [
        len(zlib.compress(path.read_bytes()))
        for path in paths
        if path.is_file() and ROOT / excluded not in path.parents and path.suffix != ".pyc"
    ]
    assert (ROOT / excluded).is_dir()
    assert sum(packed) < 10e6


def test_nothing_reads_the_environment_but_the_umbrella() -> None:
    readers = [
        path
        for _, path in sources()
        if "os.environ" in path.read_text("utf-8") or "os.getenv" in path.read_text("utf-8")
    ]
    allowed = {  # torchrun speaks through the environment, and a user may keep the address of a receiver there
        "main.py",
        "trainer.py",
        "addresses.py",
    }
    assert [str(path) for path in readers if path.name not in allowed] == []


def test_the_console_script_is_the_umbrella() -> None:
    script = Path(sys.executable).with_name("vljepa")
    if not script.exists():
        pytest.skip("vljepa is not installed beside this interpreter")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)


def test_the_lowest_versions_are_those_of_the_project() -> None:
    script = ROOT / "tests" / "lowest_versions.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    pins = dict(line.split("==") for line in done.stdout.splitlines())
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert {"av", "numpy", "onnxruntime", "opencv-python-headless", "tokenizers", "openvino"} <= set(pins)
    declared = {
        name: rf'"{re.escape(name)}(\[[a-z,]+\])?>={re.escape(version)}' for name, version in pins.items()
    }
    assert [name for name, pattern in declared.items() if not re.search(pattern, text)] == []
