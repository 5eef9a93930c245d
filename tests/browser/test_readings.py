"""Unclaimed readings before a carer's eyes: found, checked and given away with a thumb, in every language and light."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import DESKTOP, PHONE, Site, tab
from tests.browser.test_pages import CONTRAST_JS, LEAST_CONTRAST, OVERFLOWING_JS, SMALLEST_TARGET_PX, TARGETS_JS
from tests.gateway.house import House
from tests.gateway.web.unclaimed import ANNE, Books, measured_at_the_kiosk

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(autouse=True)  # before the site, whose page takes the house's commands as they are then
def books(house: House) -> Books:
    return Books(house)


async def test_the_list_and_the_form_are_readable_in_every_language_and_light(
    books: Books, site: Site, browser: Browser, shots: Path
) -> None:
    reading = measured_at_the_kiosk(books)
    for size, kind in ((PHONE, "phone"), (DESKTOP, "desktop")):
        for language in ("zh", "en", "fr"):
            for dark in (False, True):
                async with tab(browser, size, dark=dark, phone=kind == "phone") as (page, witness):
                    for path in ("readings", f"readings/{reading}"):
                        await page.goto(f"{site.url}{path}?lang={language}")
                        await expect(page.locator("footer")).to_be_visible()
                        shown = "reading" if "/" in path else path
                        name = f"{shown}-{kind}-{language}-{'dark' if dark else 'light'}.png"
                        await page.screenshot(path=shots / name, full_page=True)
                        assert await page.evaluate(CONTRAST_JS, LEAST_CONTRAST) == [], name
                        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
                        assert await page.evaluate(OVERFLOWING_JS) == [], name
                        assert kind != "phone" or await page.evaluate(TARGETS_JS, SMALLEST_TARGET_PX) == [], name
                    assert witness.complaints == []


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_carer_finds_checks_and_gives_away_a_reading_with_a_thumb(
    books: Books, site: Site, browser: Browser, shots: Path, scripts: bool
) -> None:
    reading = measured_at_the_kiosk(books)
    async with tab(browser, PHONE, phone=True, scripts=scripts) as (page, witness):
        await page.goto(site.url)
        await page.get_by_role("link", name="Unclaimed").tap()
        await page.get_by_role("link", name="Assign to somebody").tap()
        await page.get_by_label("Bed").select_option(ANNE)
        await page.get_by_label("Your name or staff number").fill("N-12")
        await page.get_by_role("button", name="Check").tap()
        await expect(page.locator(".sure")).to_contain_text(ANNE)
        assert books.given == [], "the first form only asks"
        await page.screenshot(path=shots / f"reading-sure-{scripts}.png", full_page=True)
        await page.get_by_role("button", name="Yes, it belongs to this bed").tap()
        await expect(page.locator(".done")).to_contain_text("Assigned and stored.")
        await expect(page.locator("main")).to_contain_text("No reading waits for its owner.")
        assert witness.complaints == []
    assert books.given == [(reading, ANNE, "", "N-12", "page")]


async def test_going_back_from_the_question_gives_nothing_away(books: Books, site: Site, browser: Browser) -> None:
    reading = measured_at_the_kiosk(books)
    async with tab(browser, DESKTOP) as (page, _):
        await page.goto(f"{site.url}readings/{reading}")
        await page.get_by_label("Bed").select_option(ANNE)
        await page.get_by_label("Your name or staff number").fill("N-12")
        await page.get_by_role("button", name="Check").click()
        await page.get_by_role("link", name="Back, change nothing").click()
        await expect(page.locator(".card")).to_have_count(1)
    assert books.given == []
