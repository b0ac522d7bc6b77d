"""The look that the sandbox's pages share: one base template, one style sheet, a light refresh of what is shown."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from flask import Flask, Response, send_from_directory
from jinja2 import ChoiceLoader, FileSystemLoader

HERE = Path(__file__).parent


def add_pages(app: Flask, package: str) -> None:
    """Let an application use `base.html`, its own package's `templates` folder, and /_pages/style.css."""
    own = Path(str(files(package))) / "templates"
    app.jinja_loader = ChoiceLoader([FileSystemLoader(own), FileSystemLoader(HERE)])
    app.add_url_rule("/_pages/style.css", "shared_style", _style)


def _style() -> Response:
    return send_from_directory(HERE, "style.css", max_age=3600)
