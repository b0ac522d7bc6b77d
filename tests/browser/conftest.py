"""A real Chromium, and where its pictures go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).parents[2]

# Chromium looks for its maker's hosts at every start unless it is told not to
QUIET = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,1600",
    "--hide-scrollbars",
    "--lang=en",
]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        if os.environ.get("CI") == "true":
            pytest.fail("chromium and chromium-driver are missing, and with CI=true nothing may be left out")
        pytest.skip("chromium and chromium-driver are not installed (tests/debian-packages)")
    options = Options()
    options.binary_location = chromium
    for argument in (*QUIET, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(argument)
    page = webdriver.Chrome(options=options, service=Service(driver))
    yield page
    page.quit()


@pytest.fixture
def picture(browser: webdriver.Chrome, tmp_path: Path) -> Callable[[str], None]:
    """Keep what the browser shows. `make screenshots` has them kept in docs/, every other run throws them away."""
    folder = ROOT / "docs" / "screenshots" if os.environ.get("SCREENSHOTS") else tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> None:
        target = folder / f"{name}.png"
        assert browser.save_screenshot(str(target))
        assert target.stat().st_size > 10_000

    return take
