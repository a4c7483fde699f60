"""Pages of the site that are made on the way: those at the root of the repository, and what packages say of themselves.

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
TITLE = re.compile(r"^#+ (vljepa_[\w.]+)$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages to those of `docs/`."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages; add to an API page what it does not say."""
    here = page.file.src_uri
    source = next((path for path, name in PAGES.items() if name == here), f"docs/{here}")

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        goal = PAGES.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(goal, posixpath.dirname(here) or ".")

    markdown = LINK.sub(turned, markdown)
    if not here.startswith("api/"):
        return markdown
    return TITLE.sub(lambda title: f"{title[0]}\n\n{introduction(title[1])}", markdown) + further_names(
        markdown
    )


def introduction(package: str) -> str:
    """What a package or a room of it says at its beginning, its examples as code."""
    text = (
        ast.get_docstring(ast.parse((folder_of(package) / "__init__.py").read_text(encoding="utf-8"))) or ""
    )
    parts = [part.replace("  # doctest: +SKIP", "") for part in text.split("\n\n")]
    return "\n\n".join(f"```pycon\n{part}\n```" if part.startswith(">>> ") else part for part in parts)


def further_names(markdown: str) -> str:
    """A section with the public names of a page's packages that have no place on it."""
    placed = set(PLACED.findall(markdown))
    packages = sorted({package for package, _ in placed})
    missing = [
        f"::: {package}.{name}"
        for package in packages
        for name in public_names(package)
        if (package, name) not in placed and not ("." in package and offered_by_root(package, name))
    ]
    return "\n\n".join(["\n\n## Further names", *missing]) if missing else ""


def offered_by_root(package: str, name: str) -> bool:
    """Whether a room's name has its place on the page of the whole package."""
    return name in public_names(package.partition(".")[0])


def folder_of(package: str) -> Path:
    """Where a package or a room of it lies: the package in one of the root's folders."""
    (folder,) = ROOT.glob(f"*/{package.replace('.', '/')}")
    return folder


def public_names(package: str) -> list[str]:
    """What a package offers, read from its stub or its `__all__`."""
    folder = folder_of(package)
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
    offered = re.search(r"__all__[^=]*= \[(.*?)\]", text, re.DOTALL)
    return re.findall(r'"(\w+)"', offered[1]) if offered else []
