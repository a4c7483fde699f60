"""Prints the lowest versions that `pyproject.toml` declares as pins, one a line: a constraints file for pip.

`make lowest` installs from it, so that the declared bounds and the tested ones are the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:  # pip itself brings one, to read dependency groups
    from pip._vendor import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[a-z,]+\])?>=(?P<version>[0-9.]+)(,<[0-9.]+)?(; .+)?")


def lowest_versions(project: dict[str, Any]) -> dict[str, str]:
    """Collect the lower bounds of the build system, the base install, every extra and every group.

    Args:
        project: `pyproject.toml`, parsed.

    Returns:
        Package name to its lowest declared version, sorted by name.

    Raises:
        ValueError: a requirement has no lower bound, or two for one package differ.
    """
    lowest: dict[str, str] = {}
    for requirement in _requirements(project):
        match = _REQUIREMENT.fullmatch(requirement)
        if not match:
            raise ValueError(f"expected name>=version, got {requirement!r}")
        name, version = match["name"], match["version"]
        if lowest.setdefault(name, version) != version:
            raise ValueError(f"{name} has the lower bounds {lowest[name]} and {version}: write one of them")
    return dict(sorted(lowest.items()))


def _requirements(project: dict[str, Any]) -> Iterator[str]:
    own = project["project"]["name"]
    yield from project["build-system"]["requires"]
    yield from project["project"]["dependencies"]
    for extra in project["project"]["optional-dependencies"].values():
        yield from (item for item in extra if not item.startswith(f"{own}["))
    for group in project["dependency-groups"].values():
        yield from (item for item in group if isinstance(item, str))


if __name__ == "__main__":
    for package, bound in lowest_versions(tomllib.loads(PROJECT.read_text(encoding="utf-8"))).items():
        print(f"{package}=={bound}")
