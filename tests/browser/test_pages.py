"""A visitor tries the product: fills in a form on one system's page, and watches the other system's page follow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.process.exchange import Exchange, exchange, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Exchange]:
    with exchange(tmp_path / "place") as running:
        yield running


def fill_in(browser: webdriver.Chrome, action: str, **values: str) -> None:
    """Fill in the form that posts to `action` (blank: the page's first one), and press its button."""
    form = browser.find_element(By.CSS_SELECTOR, f'form[action="{action}"]' if action else "form")
    for name, value in values.items():
        entry = form.find_element(By.NAME, name)
        entry.clear()
        entry.send_keys(value)
    form.find_element(By.CSS_SELECTOR, "button[type=submit], button:not([type])").click()


def shows(browser: webdriver.Chrome, text: str) -> bool:
    return text in browser.find_element(By.TAG_NAME, "body").text


def test_a_company_added_on_the_portals_page_appears_on_the_bases_page(
    browser: webdriver.Chrome, place: Exchange
) -> None:
    browser.get(place.portal_url)

    fill_in(browser, "/ui/companies", title="ООО Браузер", inn="7707083893", phone="8 495 555-44-33")

    party = wait_until(lambda: next(iter(place.parties()), None), what="the base has it")
    wait_until(lambda: shows(browser, party["ref"]), what="the portal's page shows the 1C ref without being reloaded")
    browser.get(f"{place.onec_url}/ui/counterparties/{party['ref']}")
    assert shows(browser, "ООО Браузер")
    assert "+74955554433" in browser.page_source


def test_a_counterparty_changed_on_the_bases_page_changes_the_portals_page(
    browser: webdriver.Chrome, place: Exchange
) -> None:
    ref = place.onec_form("counterparties", kind="company", name="АО Прежнее", inn="7728168971")
    company = wait_until(
        lambda: next((c for c in place.portal_state()["companies"] if c.get("UF_CRM_1C_ID") == ref), None)
    )
    wait_until(place.is_quiet, what="nothing waits any more")
    browser.get(f"{place.onec_url}/ui/counterparties/{ref}")

    fill_in(browser, "", name="АО Новое имя")

    browser.get(f"{place.portal_url}/ui/companies/{company['ID']}")
    wait_until(lambda: shows(browser, "АО Новое имя"), what="the portal's page follows without being reloaded")
