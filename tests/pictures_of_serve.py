"""Pictures of the page for the docs: `python tests/pictures_of_serve.py docs/images` (about three minutes).

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
COLOURS = 256
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
        "camera": ("camera/hall", {}),
        "search": ("search?q=a+ball+rolls", {}),
        "alerts-dark": ("alerts?new=something+falls+down", {"color_scheme": "dark"}),
        "phone": ("camera/gate", {"viewport": PHONE, "color_scheme": "dark"}),
    }
    for name, (view, options) in shots.items():
        with opened(browser, site, view, **{"viewport": DESK, **options}) as page:
            until(page, "document.body.dataset.view && !document.querySelector('#body [aria-busy]')")
            if view.startswith("camera"):
                page.get_by_label("Question").fill("What does it do?")
                page.get_by_label("Answers").fill("it falls down, it stays still, it grows")
                page.get_by_role("button", name="Ask", exact=True).click()
            time.sleep(4)
            _write(page.screenshot(), folder / f"serve-{name}.png")


def _write(png: bytes, path: Path) -> None:
    """Few colours: a picture of docs is looked at, not measured."""
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    image.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
