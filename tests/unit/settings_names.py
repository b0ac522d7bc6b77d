"""The names of all settings, read out of the two modules that read the environment."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
READERS = (ROOT / "sync_worker" / "settings.py", ROOT / "ingress" / "settings.py")
METHODS = ("str", "int", "bool", "list", "enum", "path")


def setting_names() -> set[str]:
    """Each NAME of `env.str("NAME")` and its like."""
    names = {
        node.args[0].value
        for path in READERS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in METHODS
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    return {name for name in names if isinstance(name, str) and name.isupper()}
