"""Pictures of the page for the docs: `python tests/pictures_of_serve.py docs/images` (about five minutes).

Four cameras show streams of the procedural world, so that anybody can make the same pictures again.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent / "serve"))
from page_site import PHONE, Site, opened, until
from serving import camera_toml, wait_for

from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_stream

NAMES = "Hall", "Gate", "Workshop", "Yard"
DESK = {"width": 1280, "height": 800}
PLAIN = 96  # colours that are kept as they are
SHOWN_S = 20.0  # until the log has what came before a page was opened
SEEN_S = 120.0  # before the first picture, so that traces and timelines are full


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as engine:
        site = Site(_cameras(Path(scratch)))
        site.start()
        browser = engine.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        try:
            wait_for(lambda: all(site.told("segment", name.lower()) for name in NAMES))
            time.sleep(SEEN_S)
            _take(browser, site, args.folder)
        finally:
            browser.close()
            site.kill()


def _cameras(folder: Path) -> Path:
    """A folder with the configuration of four streams."""
    text = ""
    for seed, name in enumerate(NAMES):
        path = folder / f"{name}.mp4"
        stream = make_stream(20 + seed, Split.TEST, minutes=1.5, size=256, fps=10)
        write_video(stream, path, fps=10)
        text += camera_toml(name.lower(), path.name, loop=True)  # as it stands in the picture
    (folder / "serve.toml").write_text(text)
    return folder


def _take(browser: Any, site: Site, folder: Path) -> None:
    """Each picture, in its own window."""
    shots: dict[str, tuple[str, dict[str, Any]]] = {
        "live": ("live", {}),
        "camera": ("camera/gate", {"viewport": {**DESK, "height": 1060}}),
        "search": ("search?q=a+ball+rolls", {}),
        "phone": ("camera/yard", {"viewport": PHONE, "color_scheme": "dark"}),
    }
    for name, (view, options) in shots.items():
        with opened(browser, site, view, **{"viewport": DESK, **options}) as page:
            until(page, "document.body.dataset.view && !document.querySelector('#body [aria-busy]')")
            if view.startswith("camera"):
                page.get_by_label("Question").fill("What happens?")
                page.get_by_label("Answers").fill("a blue box bounces, a white star turns, a ball falls down")
                page.get_by_role("button", name="Ask", exact=True).click()
            time.sleep(SHOWN_S)
            _write(page.screenshot(), folder / f"serve-{name}.png")


def _write(png: bytes, path: Path) -> None:
    """256 colours: those of the page as they are, what is left for what cameras show."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    counts = sorted(image.getcolors(maxcolors=1 << 24) or [], reverse=True)
    plain = [value for _, colour in counts[:PLAIN] for value in colour]  # type: ignore[union-attr]
    others = image.quantize(256 - PLAIN, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette((plain + others)[: 3 * 256])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
