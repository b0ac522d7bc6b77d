"""Puts the tab into Flower: its handlers, its navbar, its two open pages. Nothing of Flower is copied.

Flower's list of handlers and the text of its templates are no public interface: what is not found where it was raises
FlowerMoved at the start, so that an upgrade is noticed before a person misses the tab.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from flower import urls
from tornado import template
from tornado.routing import URLSpec
from tornado.web import StaticFileHandler, url

from sync_worker.desk.api import LettersApi
from sync_worker.desk.letter import DiscardOne, LetterPage, ReplayOne, ResolveOne
from sync_worker.desk.letters import DiscardSelected, LettersPage, ReplayMany
from sync_worker.desk.open_pages import Healthcheck, Metrics
from sync_worker.desk.opening import STATIC, Desk
from sync_worker.desk.records import AuditPage, StoryPage
from sync_worker.desk.replays import CancelReplay, ReplaysPage

HERE = Path(__file__).parent
NAVBAR_ITEM = """\
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'dead-letters' %} active{% end %}" id="nav-dead-letters"
            href="{{ reverse_url('dead-letters') }}"
            {% if active_tab == 'dead-letters' %}aria-current="page"{% end %}>{{
            handler.locale.translate("Dead letters") if hasattr(handler, "language") else "Dead letters" }}</a>
        </li>
"""
PATCHES = {
    # before the end of the list that has Flower's own three tabs
    "navbar.html": (("</ul>", NAVBAR_ITEM + "      </ul>", "reverse_url('broker')"),),
    "base.html": (
        ('<html lang="en">', '<html lang="{{ getattr(handler, "language", "en") }}">', ""),
        ("</head>", "{% block extra_head %}{% end %}\n  </head>", ""),
    ),
}
"""Flower's templates with something of ours in them: (found, put in its place, only after this)."""


class FlowerMoved(Exception):
    """Flower is not as this module knows it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"Flower {version('flower')} has no {what} where the tab is put in: use flower==2.2.0, "
            "or mend sync_worker/desk/graft.py"
        )


class DeskLoader(template.Loader):
    """Our templates and Flower's, some of those patched."""

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:  # noqa: ARG002  # the base's signature
        """No folders: a name is enough."""
        return name

    def _create_template(self, name: str) -> template.Template:
        path = HERE / "templates" / name
        text = (path if path.is_file() else Path(self.root) / name).read_text(encoding="utf-8")
        return template.Template(patched(name, text), name=name, loader=self)


def patched(name: str, text: str) -> str:
    """Errors: FlowerMoved where a place is not found."""
    for found, put, after in PATCHES.get(name, ()):
        start = text.find(after)
        place = text.find(found, start) if start >= 0 else -1
        if place < 0:
            raise FlowerMoved(f"{found} in {name}")
        text = text[:place] + put + text[place + len(found) :]
    return text


def graft(desk: Desk) -> None:
    """Once in a process, before Flower starts. Errors: FlowerMoved."""
    loader = DeskLoader(urls.settings["template_path"], autoescape="xhtml_escape")
    for name in PATCHES:
        loader.load(name)
    urls.settings |= {"template_loader": loader, "desk": desk}
    replace(r"/metrics", Metrics)
    replace(r"/healthcheck", Healthcheck)
    if pattern_of(urls.handlers[-1]) != ".*":
        raise FlowerMoved("handler of unknown pages at the end of urls.handlers")
    urls.handlers[-1:-1] = handlers()


def handlers() -> list[Any]:
    return [
        url(r"/dead-letters", LettersPage, name="dead-letters"),
        url(r"/dead-letters/replay", ReplayMany, name="dead-letters-replay"),
        url(r"/dead-letters/discard", DiscardSelected, name="dead-letters-discard"),
        url(r"/dead-letters/letter/([\w.-]+)", LetterPage, name="dead-letter"),
        url(r"/dead-letters/letter/([\w.-]+)/resolve", ResolveOne, name="dead-letter-resolve"),
        url(r"/dead-letters/letter/([\w.-]+)/replay", ReplayOne, name="dead-letter-replay"),
        url(r"/dead-letters/letter/([\w.-]+)/discard", DiscardOne, name="dead-letter-discard"),
        url(r"/dead-letters/story", StoryPage, name="dead-letters-story"),
        url(r"/dead-letters/audit", AuditPage, name="dead-letters-audit"),
        url(r"/dead-letters/replays", ReplaysPage, name="dead-letters-replays"),
        url(r"/dead-letters/replays/([\w.-]+)/cancel", CancelReplay, name="dead-letters-cancel"),
        url(r"/dead-letters/static/(.*)", StaticFileHandler, {"path": str(STATIC)}, name="dead-letters-static"),
        (r"/api/dead-letters", LettersApi),
    ]


def replace(pattern: str, handler: type) -> None:
    places = [place for place, entry in enumerate(urls.handlers) if pattern_of(entry) == pattern]
    if len(places) != 1:
        raise FlowerMoved(f"page {pattern}")
    urls.handlers[places[0]] = (pattern, handler)


def pattern_of(entry: Any) -> str:
    """Of a handler in either of Tornado's two forms."""
    return str(entry.regex.pattern).removesuffix("$") if isinstance(entry, URLSpec) else str(entry[0])
