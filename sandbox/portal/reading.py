"""What a request asks: its method and its parameters, in whichever way they were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Request

from sandbox.portal.params import parse_pairs


def method_name(path: str) -> str:
    """Read the method off the path: any case, an optional `.json`, a trailing slash."""
    return path.strip("/").lower().removesuffix(".json")


def read_params(request: Request) -> dict[str, Any]:
    """Merge query, form and JSON parameters into one bag, as PHP does."""
    params = parse_pairs(request.args.items(multi=True)) if request.query_string else {}
    if request.mimetype == "application/json":
        body = request.get_data(cache=False)
        given = _loads(body) if body.strip() else {}
        return params | {str(key): value for key, value in given.items()}
    return params | parse_pairs(request.form.items(multi=True)) if request.method == "POST" else params


def _loads(body: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(body)
    except ValueError:
        return {}  # PHP takes a body that is no JSON for no parameters
    if isinstance(given, list):
        return {str(index): value for index, value in enumerate(given)}
    return given if isinstance(given, dict) else {}
