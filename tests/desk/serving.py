"""A real desk: the process that operators use, on a free port, over the tests' Redis; and a reader of its pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import requests

from tests.services import ROOT, START_SECONDS, RedisServer

ENVIRONMENT = {
    "B24_WEBHOOK_URL": "https://portal.example.com/rest/1/webhook-secret/",
    "B24_APPLICATION_TOKENS": "application-token",
    "ONEC_URL": "https://1c.example.com/base",
    "ONEC_USER": "Обмен",
    "ONEC_PASSWORD": "onec-password",
    "ONEC_WEBHOOK_SECRETS": "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0",
}
ANNA, BORIS = ("anna", "password-of-anna"), ("boris", "password-of-boris")
LOGINS = ",".join(":".join(login) for login in (ANNA, BORIS))
VOID = {"input", "link", "meta", "br", "img", "hr"}


@contextmanager
def desk_process(folder: Path, redis: RedisServer, *options: str, **environment: str) -> Iterator[str]:
    """Its address, for as long as the block runs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "BROKER_"))}
    (folder / "sync.toml").write_text('[invoices]\nkind = "smart"\n', encoding="utf-8")
    log_path = folder / "desk.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "sync_worker.app",
                "desk",
                "--address=127.0.0.1",
                "--port=0",
                *options,
            ],
            env=inherited | ENVIRONMENT | {"REDIS_URL": redis.url(), "PYTHONPATH": str(ROOT)} | environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield _address(process, log_path)
    finally:
        process.kill()
        process.wait(timeout=10)


def _address(process: subprocess.Popen[bytes], log_path: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        log = log_path.read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"Visit me at (http://127\.0\.0\.1:\d+)", log):
            return found[1]
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the desk did not start:\n{log}")
        time.sleep(0.05)


class Page(HTMLParser):
    """What a test asks a page about: texts and attributes by id or data-testid, and what a form would send."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.by_id: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        self.tests: list[tuple[str, dict[str, str], list[str]]] = []
        self.forms: dict[str, dict[str, str]] = {}
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self._form = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.append((tag, named))
        if tag == "form":
            self._form = named.get("id", named.get("action", ""))
            self.forms[self._form] = {}
        if tag == "input" and named.get("type") == "hidden" and self._form:
            self.forms[self._form][named["name"]] = named["value"]
        texts: list[str] = []
        if "id" in named:
            self.attributes[named["id"]] = named
            self.by_id[named["id"]] = ""
        if "data-testid" in named:
            self.tests.append((named["data-testid"], named, texts))
        if tag not in VOID:
            self._open.append((tag, named, texts))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = ""
        if tag in VOID:  # written <input/>
            return
        while self._open:
            opened, named, texts = self._open.pop()
            if "id" in named:
                self.by_id[named["id"]] = " ".join("".join(texts).split())
            if opened == tag:
                return

    def handle_data(self, data: str) -> None:
        for _, _, texts in self._open:
            texts.append(data)

    def all(self, test_id: str) -> list[tuple[Mapping[str, str], str]]:
        """(attributes, text) of each element with this data-testid."""
        return [(named, " ".join("".join(texts).split())) for name, named, texts in self.tests if name == test_id]

    def letters(self) -> list[str]:
        return [named["data-letter"] for named, _ in self.all("letter")]


class Visitor:
    """One person's browser, without JavaScript."""

    def __init__(self, address: str, login: tuple[str, str] | None = ANNA, language: str = "en") -> None:
        self.address = address
        self.http = requests.Session()
        self.http.auth = login
        self.http.headers["Accept-Language"] = language

    def get(self, path: str, **named: Any) -> requests.Response:
        return self.http.get(self.address + path, timeout=30, **named)

    def page(self, path: str) -> Page:
        answer = self.get(path)
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text[:3000]}"
        return Page(answer.text)

    def post(self, path: str, values: Mapping[str, Any], **named: Any) -> requests.Response:
        """As it stands, without following where it leads."""
        return self.http.post(self.address + path, data=values, timeout=30, allow_redirects=False, **named)

    def send(self, path: str, form: str, *, to: str = "", **values: Any) -> requests.Response:
        """Fill in the form of that id on the page, and press its button."""
        page = self.page(path)
        action = to or page.attributes[form]["action"]
        return self.post(action, page.forms[form] | values)
