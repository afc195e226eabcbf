"""What keeps people out of a page, found by axe-core: names, contrast, roles, and what the keyboard cannot reach."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from tests.browser import Browser

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
"""Levels A and AA of the Web Content Accessibility Guidelines."""
GRAVE = ("serious", "critical")


def require_accessible(browser: Browser) -> None:
    """Require that the page in the browser has no violation that is serious or worse, in light and in dark colours."""
    found = []
    for colours in ("light", "dark"):
        browser.prefer(colours)
        found += [f"{colours}: {text}" for text in violations(browser)]
    assert not found, "\n".join(found)


def violations(browser: Browser) -> list[str]:
    """Return rule, element and reason of every grave violation on the page in the browser."""
    if not browser.read("'axe' in window"):
        browser.read(_axe())
    options = {"runOnly": list(RULES), "resultTypes": ["violations"]}
    result: dict[str, Any] = browser.read(f"axe.run(document, {json.dumps(options)})")
    assert result["passes"], "axe-core has looked at nothing"
    return [
        f"{rule['id']}: {node['html']}: {' '.join(node['failureSummary'].split())}"
        for rule in result["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


@cache
def _axe() -> str:
    """Return a script that defines `axe`."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
