"""What somebody does in a browser with a server that runs: one site, in the order of a first day."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from page_site import DESK, PATIENCE_S, PHONE, NetworkCamera, Site, opened, until
from serving import wait_for

pytestmark = pytest.mark.browser
VIEWS = "live", "camera/belt", "search?q=a+ball+falls+down", "alerts", "teach", "digest", "system", "settings"
WORDS = "fall", "grow"  # what the belt shows, one after the other
ROOF = "Roof & <b>gate</b>"


def card(page: Any, name: str) -> Any:
    """What the wall shows of a camera."""
    return page.locator("article.card").filter(has=page.get_by_role("heading", name=name, exact=True))


def shows(page: Any, name: str, state: str) -> None:
    """Wait until a camera is said to be in a state."""
    card(page, name).locator(".state").get_by_text(state, exact=True).wait_for()


@pytest.mark.slow
def test_a_camera_is_added_and_says_what_it_sees(browser: Any, site: Site, footage: Path) -> None:
    with opened(browser, site) as page:
        page.get_by_role("button", name="Add camera").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill(ROOF)
        dialog.get_by_label("Address").fill(str(footage / "no such file.mp4"))
        dialog.get_by_role("button", name="Test").click()
        dialog.locator("[aria-invalid]").wait_for()
        dialog.get_by_label("Address").fill(str(footage / "grows.mp4"))
        dialog.get_by_role("button", name="Test").click()
        dialog.get_by_role("img", name="The first picture").wait_for()
        dialog.get_by_label("Begin again at its end").check()
        dialog.get_by_role("button", name="Add camera").click()
        shows(page, ROOF, "Live")
        sentence = card(page, ROOF).locator("p.bar:not(.none) > span")
        sentence.wait_for()
        assert sentence.inner_text().strip()
        until(page, "document.querySelectorAll('.card .pic > img[src^=blob]').length === 4")
        assert page.get_by_role("log").get_by_role("button").count() >= 4


def test_a_question_is_answered_from_what_is_seen(browser: Any, site: Site) -> None:
    with opened(browser, site, "camera/porch") as page:
        page.get_by_label("Question").fill("What happens?")
        page.get_by_label("Answers").fill("a thing falls down, a thing grows, nothing moves")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_text("Nothing was decoded.").first.wait_for()
        told = page.locator(".answers")
        assert sorted(told.locator("span:nth-child(3n+1)").all_inner_texts()) == [
            "a thing falls down",
            "a thing grows",
            "nothing moves",
        ]
        scores = [float(text) for text in told.locator(".num").all_inner_texts()]
        assert scores == sorted(scores, reverse=True)


def test_a_camera_that_is_unplugged_is_said_to_be_lost_and_comes_back(
    browser: Any, site: Site, network: NetworkCamera
) -> None:
    with opened(browser, site) as page:
        shows(page, "Yard", "Live")
        network.unplug()
        shows(page, "Yard", "Reconnecting")
        card(page, "Yard").get_by_text("Connection lost").wait_for()
        assert card(page, "Yard").locator("p.bar.none").inner_text().startswith("last:")
        shows(page, "Porch", "Live")
        card(page, "Yard").get_by_role("button", name="Try now").click()
        network.plug()
        shows(page, "Yard", "Live")


def test_what_was_seen_is_found_by_words_and_shown_on_its_timeline(browser: Any, site: Site) -> None:
    wait_for(lambda: site.kept("porch"), patience_s=PATIENCE_S)
    with opened(browser, site) as page:
        shows(page, "Porch", "Live")
        page.keyboard.press("/")
        page.get_by_label("What happened").fill("something falls down")
        page.keyboard.press("Enter")
        first = page.locator("li.hit").first
        first.wait_for()
        page.get_by_text("Nothing was decoded.").wait_for()
        first.get_by_role("button", name=re.compile("^Open ")).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Question about this moment").fill("What happens?")
        dialog.get_by_role("button", name="Ask", exact=True).click()
        dialog.get_by_text(re.compile("^Answered in")).wait_for()
        dialog.get_by_role("link", name="Show in timeline").click()
        until(page, "document.activeElement?.matches('.lane.words button')")
        assert "#/camera/" in page.url
        page.keyboard.press("Enter")
        page.get_by_role("dialog").wait_for()


@pytest.mark.slow
def test_an_alert_is_set_and_fires_with_its_clip(browser: Any, site: Site) -> None:
    wait_for(lambda: site.kept("belt"), patience_s=PATIENCE_S)
    with opened(browser, site, "alerts") as page:
        page.get_by_label("When it looks like").fill("something falls down")
        page.get_by_label(re.compile("^Automatic what the words say: 0.[5-9]")).wait_for()
        automatic = page.get_by_label(re.compile("^Automatic"))
        assert automatic.is_checked()
        page.get_by_label("Rather than").fill("something grows")
        page.get_by_label("Camera", exact=True).select_option("belt")
        page.get_by_label("Automatic what the words say: 0.00").wait_for()  # the nearest wins
        page.get_by_role("button", name="Test").click()
        page.get_by_text(re.compile("At 0.00 it would have fired")).wait_for()
        page.get_by_label(re.compile("^Threshold")).press("End")  # above all scores
        page.get_by_text(re.compile("it would have fired 0 times")).wait_for()
        assert not automatic.is_checked()
        automatic.check()
        page.get_by_label("Send to").select_option("")
        page.get_by_label("Hold, s").fill("0")
        page.get_by_label("Cool-down, s").fill("1")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("button", name=re.compile("^something falls down")).wait_for()
        toast = page.get_by_role("alert").locator(".toast").first
        toast.get_by_text("something falls down").wait_for()
        page.locator(".panel[aria-label=Fired] .item").first.wait_for()
        until(page, "document.querySelector('[aria-label=Fired] video')?.readyState >= 1")
        assert page.locator("[aria-label=Fired] .cue").inner_text() == "fired"


@pytest.mark.slow
def test_two_states_are_taught_from_six_moments_and_told_apart(browser: Any, site: Site) -> None:
    one_of_both = {word: re.compile(rf"^(?!.*{other}).*{word}") for word, other in (WORDS, WORDS[::-1])}

    def are_enough() -> bool:
        said = site.kept("belt")
        return all(sum(bool(one.search(text)) for text in said) >= 4 for one in one_of_both.values())

    wait_for(are_enough, patience_s=PATIENCE_S)
    with opened(browser, site, "teach?camera=belt") as page:
        for number, (state, word) in enumerate(zip(("down", "larger"), WORDS)):
            page.get_by_role("button", name="Add state").click()
            page.get_by_role("dialog").get_by_label("What is it called?").fill(state)
            page.get_by_role("dialog").get_by_role("button", name="Add state").click()
            recent = page.get_by_role("group", name=re.compile("^Recent moments"))
            moments = recent.get_by_role("button", name=one_of_both[word])
            for index in range(3):
                moments.nth(index).click()
            page.get_by_role("button", name=f"Mark now {number + 1}").click()
            page.get_by_role("group", name=f"Examples of {state}").locator("button").nth(2).wait_for()
        page.get_by_role("button", name="Learn", exact=True).click()
        assert re.fullmatch(r"[4-6] of 6", page.locator(".score").inner_text())
        page.get_by_role("button", name="Use on Belt").click()
        page.get_by_text(re.compile("^In use")).first.wait_for()
    wait_for(lambda: {*site.told("answer", "belt")} >= {"down", "larger"}, patience_s=PATIENCE_S)


@pytest.mark.slow
def test_a_server_that_ends_and_comes_back_has_kept_everything(browser: Any, site: Site) -> None:
    with opened(browser, site) as page:
        shows(page, ROOF, "Live")
        site.kill()
        page.get_by_text("The server does not answer.").wait_for()
        shows(page, ROOF, "Last known")
        site.start()
        for name in ("Belt", "Porch", "Yard", ROOF):
            shows(page, name, "Live")
        page.goto(f"{site.address}/#/alerts")
        page.get_by_role("button", name=re.compile("^something falls down")).wait_for()
        page.goto(f"{site.address}/#/search?q=something+falls+down")
        page.locator("li.hit").first.wait_for()
        page.goto(f"{site.address}/#/teach")
        page.get_by_text("In use: 1 set").wait_for()


def test_a_phone_has_every_view(browser: Any, site: Site) -> None:
    with opened(browser, site, viewport=PHONE, has_touch=True) as page:
        shows(page, "Belt", "Live")
        page.get_by_role("navigation", name="Main, short").get_by_role("button", name="More").tap()
        page.get_by_role("dialog").get_by_role("link", name="System").tap()
        page.get_by_role("heading", name="System", exact=True).wait_for()
        assert page.evaluate("document.activeElement.id") == "h1"
        for view in VIEWS:
            page.goto(f"{site.address}/#/{view}")
            until(page, "!document.querySelector('#body [aria-busy]')")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view


@pytest.mark.slow
@pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESK, "light"), (PHONE, "dark")], ids=["desk, light", "phone, dark"]
)
def test_axe_finds_nothing(browser: Any, site: Site, viewport: dict[str, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found: dict[str, list[str]] = {}
    still = {"reduced_motion": "reduce", "bypass_csp": True}  # a toast that rises has no contrast yet
    with opened(browser, site, viewport=viewport, color_scheme=scheme, **still) as page:
        for view in (*VIEWS, "moment"):
            if view == "moment":
                page.goto(f"{site.address}/#/live")
                page.get_by_role("log").get_by_role("button").first.click()
            else:
                page.goto(f"{site.address}/#/{view}")
            until(page, "document.body.dataset.view && !document.querySelector('#body [aria-busy]')")
            broken = axe.run(page).response["violations"]
            found[view] = [json.dumps([each["id"], each["nodes"][0]["target"]]) for each in broken]
    assert {view: rules for view, rules in found.items() if rules} == {}
