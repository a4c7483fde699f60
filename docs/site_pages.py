"""Pages of the site that are made on the way: those at the root of the repository, and public names of the API pages.

A hook of mkdocs (`mkdocs.yml`); it imports no other part of the project.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {  # path in the repository -> page of the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "model/vljepa_model/checkpoints/tiny/MODEL_CARD.md": "model-card.md",
    "LICENSE": "licence.txt",
}
PLACED = re.compile(r"^::: ([\w.]+)\.(\w+)$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages to those of `docs/`."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages; add what an API page does not name."""
    here = page.file.src_uri
    source = next((path for path, name in PAGES.items() if name == here), f"docs/{here}")

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        goal = PAGES.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(goal, posixpath.dirname(here) or ".")

    return LINK.sub(turned, markdown) + (further_names(markdown) if here.startswith("api/") else "")


def further_names(markdown: str) -> str:
    """A section with the public names of a page's packages that have no place on it."""
    placed = set(PLACED.findall(markdown))
    packages = sorted({package for package, _ in placed})
    missing = [
        f"::: {package}.{name}"
        for package in packages
        for name in public_names(package)
        if (package, name) not in placed
    ]
    return "\n\n".join(["\n\n## Further names", *missing]) if missing else ""


def public_names(package: str) -> list[str]:
    """What a package offers, read from its stub or its `__all__`."""
    root = package.partition(".")[0]
    folder = ROOT / root.removeprefix("vljepa_") / package.replace(".", "/")
    stub = folder / "__init__.pyi"
    if stub.exists():
        body = ast.parse(stub.read_text(encoding="utf-8")).body
        return [
            name.asname or name.name
            for node in body
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        ]
    text = (folder / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'"(\w+)"', re.search(r"__all__[^=]*= \[(.*?)\]", text, re.DOTALL)[1])
