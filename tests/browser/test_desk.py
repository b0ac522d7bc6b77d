"""The tab in Flower, as an operator uses it: a conflict appears, is settled, and both systems follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.process.exchange import Exchange, exchange, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process]

AUTH = "anna:a-password-for-the-desk"
PHONE = (375, 812)
LOCKED_OUT = 3  # deals of nobody


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Exchange]:
    with exchange(tmp_path / "place") as running:
        yield running


@pytest.fixture
def desk(place: Exchange, browser: webdriver.Chrome) -> Callable[[str], None]:
    """Open one of the desk's pages, logged in."""
    url = urlsplit(place.start_flower(AUTH))

    def open_page(path: str = "") -> None:
        browser.get(f"http://{AUTH}@{url.netloc}/dead-letters{path}")

    return open_page


def find(browser: webdriver.Chrome, css: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, css)


def text(browser: webdriver.Chrome, css: str = "body") -> str:
    return str(find(browser, css).text)


def press(browser: webdriver.Chrome, css: str) -> None:
    button = find(browser, css)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def company(place: Exchange, id_: int) -> dict[str, Any]:
    return next(one for one in place.portal_state()["companies"] if str(one["ID"]) == str(id_))


def make_conflict(place: Exchange) -> int:
    """Both sides change a company's name and comment; the portal sees 1C's change only when it looks."""
    id_ = place.portal_form(
        "companies", title="ООО Ромашка", inn="7707083893", kpp="773601001", phone="8 495 555-02-02", comments="Опт"
    )
    (party,) = wait_until(place.parties, what="1C has the company")
    wait_until(lambda: company(place, id_).get("UF_CRM_1C_ID"), what="the card has the 1C ref")
    wait_until(place.is_quiet, what="nothing waits")
    place.base.faults.replace("event_loss:counterparty.changed=1")
    place.onec_form(f"counterparties/{party['ref']}", name="ООО «Ромашка»", comment="Отгрузка по предоплате")
    place.portal_form(f"companies/{id_}", title="Ромашка, ООО", comments="Звонить Анне Петровне")
    return id_


def make_others(place: Exchange) -> None:
    for number in range(LOCKED_OUT):
        place.portal_form("deals", title=f"Сделка {number + 1}", category_id=0, stage_id="EXECUTING")
    place.portal_form("companies", title="ООО Опечатка", inn="7707083890")


def letters(place: Exchange, count: int) -> None:
    wait_until(lambda: place.command("dead", "list", "--json").stdout.count('"attempts"') == count, what="the letters")


def test_a_conflict_is_settled_on_the_desk_and_both_sides_follow(
    place: Exchange, desk: Callable[[str], None], browser: webdriver.Chrome, picture: Callable[[str], None]
) -> None:
    id_ = make_conflict(place)
    make_others(place)
    letters(place, LOCKED_OUT + 2)

    desk("")

    causes = {group.get_attribute("data-cause") for group in browser.find_elements(By.CSS_SELECTOR, "#groups li")}
    assert causes == {"field_conflict", "no_counterparty", "invalid_key"}
    assert text(browser, "#count") == str(LOCKED_OUT + 2)
    assert "Dead letters" in text(browser, "nav")
    picture("dead-letters")

    press(browser, '[data-cause="field_conflict"] .desk-group-link')
    press(browser, '[data-testid="letter"] a')
    assert text(browser, "#baseline-name") == "ООО Ромашка"
    assert (text(browser, "#bitrix24-name"), text(browser, "#onec-name")) == ("Ромашка, ООО", "ООО «Ромашка»")
    press(browser, "#choose-onec-name")
    press(browser, "#choose-other-comment")
    other = find(browser, '[data-for="choose-other-comment"] textarea, [data-for="choose-other-comment"] input')
    other.clear()
    other.send_keys("Звонить Анне Петровне, отгрузка по предоплате")
    picture("conflict")
    press(browser, "#resolve")

    settled = ("ООО «Ромашка»", "Звонить Анне Петровне, отгрузка по предоплате")
    wait_until(
        lambda: (company(place, id_)["TITLE"], company(place, id_)["COMMENTS"]) == settled, what="Bitrix24 follows"
    )
    (party,) = [one for one in place.parties() if one["inn"] == "7707083893"]
    assert (party["name"], party["comment"]) == settled
    letters(place, LOCKED_OUT + 1)

    desk(f"/story?record=company+{id_}")
    story = text(browser)
    assert "anna" in story
    assert "name: 1C's" in story
    picture("story")


def test_a_whole_cause_is_replayed_once_it_is_mended(
    place: Exchange, desk: Callable[[str], None], browser: webdriver.Chrome, picture: Callable[[str], None]
) -> None:
    make_others(place)
    letters(place, LOCKED_OUT + 1)
    contact = place.portal_form("contacts", last_name="Осипова", email="anna@example.com")
    for deal in place.portal_state()["deals"]:
        place.portal_form(f"deals/{deal['ID']}", contact_id=contact)
    desk("?cause=no_counterparty")

    press(browser, "#replay-all")

    wait_until(lambda: len(place.orders()) == LOCKED_OUT, what="an order for each deal")
    letters(place, 1)
    desk("/replays")
    wait_until(lambda: (browser.refresh(), f"{LOCKED_OUT}" in text(browser))[1], what="the run is told")
    picture("replays")

    desk("")
    press(browser, '[data-testid="letter"] a')
    press(browser, "#reason")
    find(browser, "#reason").send_keys("a test record")
    press(browser, "#discard")
    letters(place, 0)
    desk("/audit")
    told = text(browser)
    assert "anna" in told
    assert "a test record" in told
    picture("audit")


def test_the_desk_is_read_on_a_phone_by_keyboard_and_in_russian(
    place: Exchange, desk: Callable[[str], None], browser: webdriver.Chrome, picture: Callable[[str], None]
) -> None:
    make_conflict(place)
    letters(place, 1)
    desk("?lang=ru")
    assert "Ромашка" in text(browser) or "company" in text(browser)
    assert find(browser, "html").get_attribute("lang") == "ru"
    picture("dead-letters-ru")
    press(browser, '[data-testid="letter"] a')

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 2, "mobile": True},
    )
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= PHONE[0]
    browser.execute_script("document.querySelector('#decide-form').scrollIntoView()")
    picture("conflict-phone")

    focus_on(browser, "choose-bitrix24-comment")
    press_keys(browser, Keys.SPACE)
    focus_on(browser, "choose-bitrix24-name")
    press_keys(browser, Keys.SPACE)
    focus_on(browser, "resolve")
    press_keys(browser, Keys.ENTER)

    wait_until(lambda: place.parties()[0]["name"] == "Ромашка, ООО", what="1C follows")
    letters(place, 0)


def focus_on(browser: webdriver.Chrome, id_: str) -> None:
    """Walk there with the Tab key, as somebody without a mouse does."""
    for _ in range(120):
        if browser.switch_to.active_element.get_attribute("id") == id_:
            return
        press_keys(browser, Keys.TAB)
    raise AssertionError(f"the Tab key never comes to {id_}")


def press_keys(browser: webdriver.Chrome, key: str) -> None:
    browser.switch_to.active_element.send_keys(key)
