"""The style that all pages share: text stands out, light and dark."""

import re
from itertools import product

import pytest

from tasks.pages.service import STYLE

LEAST_CONTRAST = 4.5
"""Of text with its background, WCAG 2.2, success criterion 1.4.3."""


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(scheme: str) -> None:
    roots = re.findall(r":root \{([^}]*)\}", (STYLE / "page.css").read_text(encoding="utf-8"))
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", roots[["light", "dark"].index(scheme)]))
    pairs = [
        *product(("ink", "quiet", "accent", "trouble", "good", "warn"), ("paper", "card")),
        ("on-accent", "accent"),
    ]
    for text, behind in pairs:
        lighter, darker = sorted((luminance(colours[text]), luminance(colours[behind])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= LEAST_CONTRAST, (text, behind)
