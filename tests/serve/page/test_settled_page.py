"""What comes after the first day in a browser: the token, settings, receivers, files to keep, too many pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from page_site import opened, until
from serving import Running, camera_toml, run_app, running, wait_for
from websockets.sync.client import connect

import vljepa_runtime as vj
from vljepa_serve import create_app
from vljepa_serve.access import Access
from vljepa_serve.service import MOST_PAGES

pytestmark = pytest.mark.browser
TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
REFUSED = "status of 401", "status of 422"  # what a browser says of an answer that the page expects


@pytest.fixture(scope="module")
def guarded(model: vj.Model, footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that wants a token, with a camera that has said something."""
    text = camera_toml("belt", footage / "belt.mp4", loop=True)
    with running(model, tmp_path_factory.mktemp("guarded"), text) as found:
        app = create_app(found.service, Access(token=TOKEN))
        with (
            run_app(app) as address,
            httpx.Client(base_url=address, timeout=20, headers=BEARER) as client,
        ):
            here = Running(found.service, client, address)
            wait_for(lambda: found.service.fleet.camera("belt").now)
            yield here


def entered(page: Any) -> None:
    """Give the token, where the page asks for it."""
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("heading", name="Live", exact=True).wait_for()


def test_the_page_asks_for_the_token_and_keeps_it(browser: Any, guarded: Running) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with opened(browser, guarded, quiet=REFUSED, bypass_csp=True) as page:
        page.get_by_role("heading", name="This page needs the token").wait_for()
        assert page.evaluate("document.activeElement.name") == "token"
        assert axe.run(page).response["violations"] == []
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("That is not the token.").wait_for()
        entered(page)
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert TOKEN not in cookie["value"]
        page.reload()
        page.get_by_role("heading", name="Belt", exact=True).wait_for()


def test_settings_are_saved_and_receivers_named(browser: Any, guarded: Running) -> None:
    service = guarded.service
    with opened(browser, guarded, quiet=REFUSED) as page:
        entered(page)
        page.goto(f"{guarded.address}/#/settings")
        page.get_by_label("Meaning and words, days").fill("-3")
        page.get_by_text("Between 1 and 3650").wait_for()
        assert page.get_by_role("button", name="Save", exact=True).is_disabled()
        page.get_by_role("button", name="Discard").click()
        page.get_by_label("Shortest pause, s").fill("1.5")
        page.get_by_label("MQTT broker").fill("mqtt://door:hunter2@127.0.0.1:1")
        page.get_by_label("Webhook").fill("http://127.0.0.1:1/hook")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("Saved and in use.").wait_for()
        assert service.config.select.min_gap_s == 1.5
        assert [each["kind"] for each in service.config.sink] == ["mqtt", "webhook"]
        until(page, "document.querySelector('form .unsaved')?.hidden")
        assert "hunter2" not in page.content() + page.get_by_label("MQTT broker").input_value()
        page.get_by_label("Webhook").fill("")
        page.get_by_role("button", name="Save", exact=True).click()
        wait_for(lambda: len(service.config.sink) == 1)
        assert service.config.sink[0]["address"] == "mqtt://door:hunter2@127.0.0.1:1"  # as it was shown
        page.goto(f"{guarded.address}/#/system")
        page.get_by_text("mqtt://", exact=False).first.wait_for()
        assert "hunter2" not in page.content()


def test_a_day_is_saved_as_a_file_and_a_picture_found(browser: Any, guarded: Running, tmp_path: Path) -> None:
    wait_for(lambda: guarded.client.get("/api/digest").json()["segments"])
    with opened(browser, guarded, quiet=REFUSED) as page:
        entered(page)
        page.goto(f"{guarded.address}/#/digest")
        for button, beginning in (("Markdown", b"# "), ("Save page", b"<!doctype html>")):
            with page.expect_download() as saved:
                page.get_by_role("link", name=button).click()
            content = Path(saved.value.path()).read_bytes()
            assert content[: len(beginning)].lower() == beginning
            assert saved.value.suggested_filename.startswith("digest-20")
        picture = tmp_path / "picture.jpg"
        picture.write_bytes(guarded.client.get("/api/cameras/belt/live.jpg").content)
        page.goto(f"{guarded.address}/#/search")
        page.locator("input[type=file]").set_input_files(str(picture))
        page.locator("li.hit").first.wait_for()
        (tmp_path / "no picture.jpg").write_bytes(b"GIF89a")
        page.locator("input[type=file]").set_input_files(str(tmp_path / "no picture.jpg"))
        page.get_by_text("Expected a picture").or_(page.get_by_text("Expected a JPEG")).first.wait_for()


@pytest.mark.parametrize("is_asked", [False, True], ids=["by itself", "when asked"])
def test_a_page_too_many_says_so_and_comes_in_when_one_leaves(
    browser: Any, guarded: Running, is_asked: bool
) -> None:
    address = guarded.address.replace("http", "ws") + "/api/live"
    places = guarded.service.pages
    with ExitStack() as pages:
        wait_for(lambda: not places.used)
        others = [
            pages.enter_context(connect(address, additional_headers=BEARER, max_queue=None))
            for _ in range(MOST_PAGES)
        ]
        with opened(browser, guarded, quiet=REFUSED) as page:
            page.clock.install()  # runs on, until it is paused
            page.reload()
            entered(page)
            page.get_by_text(f"There are {MOST_PAGES} open pages already").wait_for()
            if is_asked:
                page.clock.pause_at(time.time() + 3600)  # it tries once, in vain, and not again
                page.get_by_text("Trying again in", exact=False).wait_for()
            others[0].close()
            wait_for(lambda: places.used < MOST_PAGES)
            if is_asked:
                page.get_by_role("button", name="Try now").click()
            until(page, "!document.querySelector('#banner .bad')")


def test_a_page_that_is_flooded_ends_with_the_last(browser: Any, guarded: Running) -> None:
    hub, camera = guarded.service.hub, guarded.service.fleet.camera("belt")
    with opened(browser, guarded, quiet=REFUSED) as page:
        entered(page)
        wait_for(lambda: hub.pages)
        page.evaluate("setTimeout(() => { const ends = Date.now() + 2000; while (Date.now() < ends); }, 0)")
        for number in range(3000):
            event = vj.Event(
                stream="belt",
                kind="segment",
                start_s=number,
                end_s=number + 1,
                text=f"flood {number}",
                query=camera.first_query,
            )
            hub.tell(event, at_end=0.0)
        page.get_by_role("log").get_by_text("flood 2999", exact=True).wait_for()
