"""What all pages of the desk have in common: who may come in, in which language, and how a refusal is told."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from flower.views import BaseHandler
from tornado import locale, web
from tornado.httputil import url_concat

from sync_worker.desk import shown
from sync_worker.desk.language import COOKIE, LANGUAGES, translate_sentence
from sync_worker.desk.opening import Desk
from sync_worker.errors import StoreUnavailable
from sync_worker.sync.office import NotPossible

logger = logging.getLogger(__name__)

T = TypeVar("T")
NOTICE = "desk_notice"
HEADERS = {
    "Cache-Control": "no-store",  # the pages show personal data
    "Referrer-Policy": "same-origin",  # a search by e-mail stands in the address
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}
NO_LOGIN = "Flower has no login, and these pages show personal data: set FLOWER_BASIC_AUTH (user:password) or --auth."
READ_ONLY = "This Flower is read-only (--read_only): nothing can be decided or sent here."
STORE_AWAY = "Redis or the queue does not answer now; try again in a moment."
NOT_ALLOWED = (
    "This was refused: the form is too old, or comes from another site. Go back, load the page anew, try again."
)
UNKNOWN = "There is no such page."
NO_CURSOR = "This page of the list is not known; begin at the first."
BROKEN = "Something went wrong here; the log of Flower has the traceback."


class Refused(web.HTTPError):
    """An answer other than the page, with a sentence for the person who asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status)
        self.sentence = sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What was done by a form, told on the page after it."""

    sentence: str
    rule: str = ""  # lines for sync.toml


def has_login(options: Any) -> bool:
    """True where Flower asks who somebody is. FLOWER_BASIC_AUTH that is set to nothing is no login."""
    return bool(options.auth) or any(pair.strip(": ") for pair in options.basic_auth or ())


class DeskPage(BaseHandler):  # type: ignore[misc]  # Flower has no types
    """A page behind Flower's login."""

    current_user: Any  # the login of OAuth, True after basic auth

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def check_xsrf_cookie(self) -> None:
        """Flower's check, and always the token: with basic auth Flower trusts headers that old browsers do not send."""
        super().check_xsrf_cookie()
        web.RequestHandler.check_xsrf_cookie(self)

    def prepare(self) -> None:
        if not has_login(self.application.options):
            raise Refused(403, NO_LOGIN)
        self._let_in()
        if self.request.method == "POST" and self.is_read_only:
            raise Refused(403, READ_ONLY)
        if (language := self.asked("lang")) in LANGUAGES:
            self.set_cookie(COOKIE, language, expires_days=365, samesite="Lax", httponly=True)

    @web.authenticated
    def _let_in(self) -> None:
        """Raises 401, or sends to the login page, by Flower's rules."""

    # --- who, and how ------------------------------------------------------------------------------------------------

    @property
    def desk(self) -> Desk:
        desk = self.settings["desk"]
        assert isinstance(desk, Desk)  # noqa: S101  # graft put it there
        return desk

    @property
    def is_read_only(self) -> bool:
        return bool(self.application.options.read_only)

    @property
    def who(self) -> str:
        """The login's name: of OAuth, else of basic auth. BaseHandler has checked it."""
        if isinstance(self.current_user, str):
            return self.current_user
        credentials = self.request.headers["Authorization"].split()[1]
        return base64.b64decode(credentials).decode().partition(":")[0]

    def get_user_locale(self) -> locale.Locale | None:
        """By ?lang=, then by the cookie; None leaves it to Accept-Language."""
        wanted = next((code for code in (self.asked("lang"), self.get_cookie(COOKIE)) if code in LANGUAGES), None)
        return locale.get(wanted) if wanted else None

    @property
    def language(self) -> str:
        return str(self.locale.code)[:2]

    def asked(self, name: str) -> str:
        """A value of the query; Flower's get_argument would escape it."""
        return str(self.get_query_argument(name, ""))

    def typed(self, name: str) -> str:
        """A value of the form."""
        return str(self.get_body_argument(name, ""))

    # --- work --------------------------------------------------------------------------------------------------------

    async def ask(self, question: Callable[[], T]) -> T:
        """The answer of something that talks to Redis, which never happens on the loop. Errors: Refused."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.desk.threads, question)
        except NotPossible as refusal:
            raise Refused(409, str(refusal)) from refusal
        except StoreUnavailable as away:
            raise Refused(503, STORE_AWAY) from away

    def say(self, sentence: str, **values: Any) -> str:
        """In the visitor's language."""
        return str(self.locale.translate(sentence)) % values

    # --- answers -----------------------------------------------------------------------------------------------------

    def show(self, template: str, **names: Any) -> None:
        self.render(
            template,
            shown=shown,
            notice=self._take_notice(),
            read_only=self.is_read_only,
            languages=LANGUAGES,
            card=lambda ref: shown.card_address(self.desk.portal_origin, ref),
            sentence=lambda text: translate_sentence(text, self.locale),
            **names,
        )

    def get_template_namespace(self) -> dict[str, Any]:
        """With an encoder that half a character, as a remote's words may hold it, does not stop."""
        return {**super().get_template_namespace(), "_tt_utf8": shown.encode}

    def go_to(self, address: str, notice: Notice) -> None:
        """After a form: the next page, which can be loaded again without doing it again."""
        self.set_secure_cookie(NOTICE, json.dumps(asdict(notice)), expires_days=None)
        self.redirect(address, status=303)

    def _take_notice(self) -> Notice | None:
        kept = self.get_secure_cookie(NOTICE)
        if not kept:
            return None
        self.clear_cookie(NOTICE)
        return Notice(**json.loads(kept))

    def here_with(self, **changed: str) -> str:
        """This page's address with other values in its query; a blank one leaves it out."""
        path = self.request.path if self.request.method == "GET" else self.reverse_url("dead-letters")
        kept = {name: self.get_query_arguments(name) for name in self.request.query_arguments}
        wanted = kept | {name: [value] if value else [] for name, value in changed.items()}
        return url_concat(path, [(name, value) for name, values in wanted.items() for value in values])

    def page_at(self, cursor: str, trail: Sequence[str]) -> str:
        """Another page of this list, with the way back."""
        return url_concat(self.here_with(after=cursor, trail=""), [("trail", one) for one in trail])

    def static(self, name: str) -> str:
        """The address of a file in desk/static, new with each content: browsers keep it for ever."""
        return url_concat(self.reverse_url("dead-letters-static", name), {"v": self.desk.versions.get(name, "")})

    def write_error(self, status_code: int, **named: Any) -> None:
        if not hasattr(self, "_current_user"):
            self.current_user = None  # or showing the navbar would ask for the login once more
        if status_code == 401:
            super().write_error(status_code, **named)
            return
        error = named["exc_info"][1] if "exc_info" in named else None
        general = {403: NOT_ALLOWED, 404: UNKNOWN}.get(status_code, BROKEN)
        told = error.sentence if isinstance(error, Refused) else general
        self.show("problem.html", status=status_code, told=translate_sentence(told, self.locale))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Without the query: a search names a person."""
        if isinstance(value, web.HTTPError):
            logger.info("%s %s: %s", value.status_code, self.request.path, value)
        else:
            logger.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb))
