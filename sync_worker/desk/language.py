"""English and Russian. English is what stands in the code and the templates; `locale/ru.csv` has the rest."""

from __future__ import annotations

import re
from pathlib import Path

from tornado import locale

LANGUAGES = {"en": "English", "ru": "Русский"}
COOKIE = "desk_language"
FOLDER = Path(__file__).parent / "locale"


def load_languages() -> None:
    """For this process. `en.csv` is there because Tornado passes over a language that has no file."""
    locale.load_translations(str(FOLDER), encoding="utf-8")


def translate_sentence(text: str, to: locale.Locale) -> str:
    """Translate a sentence that has values in it: those of `NotPossible`, whose templates stand in the file with {}."""
    known = to.translations.get("unknown", {}) if isinstance(to, locale.CSVLocale) else {}
    if text in known:
        return str(known[text])
    for template, translation in known.items():
        if "{}" in template and (match := _pattern(template).fullmatch(text)):
            return str(translation).format(*match.groups())
    return text


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, template.split("{}"))), re.DOTALL)
