"""The page: complete, closed to the network, and safe with hostile text."""

import base64
import hashlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tasks.candidates.building.build_page import report_build
from tasks.candidates.figures import evaluation_figures
from tasks.candidates.metrics import CandidateEvaluation, summarise
from tasks.candidates.report import evaluation_page
from tasks.reports.colours import COLOURS
from tasks.reports.dataset_page import dataset_page
from tasks.reports.figures import confusion_figure
from tasks.reports.page import (
    Answer,
    Figure,
    Heading,
    Headline,
    Headlines,
    ScoredStamp,
    Stamp,
    Stamps,
    Table,
    Text,
    ThresholdSlider,
    cell_text,
    is_numeric_column,
    page,
)
from tasks.runtime.workspace import Workspace
from tests.accessibility import require_accessible
from tests.browser import CHROMIUM, Browser, headless
from tests.small_candidates import publish_candidates
from tests.small_scores import made_context, made_rows, made_scores

HOSTILE = '<script src="https://example.org/x.js">alert(1)</script>'


class Elements(HTMLParser):
    """Collects start tags with attributes and checks that they are closed in order."""

    VOID = {"meta", "img", "input"}  # noqa: RUF012 - a constant of the test

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())

    def named(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def test_every_block_appears_once_and_in_order():
    blocks = [
        Heading("alpha"),
        Text("beta"),
        Table("gamma", ["delta", "epsilon"], [["zeta", 1]]),
        Figure("eta", b"\x89PNG", "theta"),
        Headlines([Headline("iota", 0.5, "kappa")]),
    ]
    text = Elements(page("title", blocks, subtitle="lambda")).text
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "1", "eta", "iota", "0.5", "kappa"]
    assert [word for word in text if word in words] == words
    assert "lambda" in text


@pytest.mark.parametrize(("picture", "kind"), [(b"\x89PNG rest", "png"), (b"\xff\xd8 rest", "jpeg")])
def test_nothing_is_fetched_and_the_picture_lies_inside(picture, kind):
    html = page("t", [Figure("c", picture, "a")])
    elements = Elements(html)
    (image,) = elements.named("img")
    assert base64.b64decode(image["src"].removeprefix(f"data:image/{kind};base64,")) == picture
    assert image["alt"] == "a"
    assert not elements.named("link")
    assert elements.named("script") == [{}]
    policy = [meta["content"] for meta in elements.named("meta") if "http-equiv" in meta]
    script = html.partition("<script>")[2].partition("</script>")[0]
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == [f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"]


@pytest.mark.parametrize(
    "block",
    [
        Heading(HOSTILE),
        Text(HOSTILE),
        Table(HOSTILE, [HOSTILE], [[HOSTILE]]),
        Figure(HOSTILE, b"x", '" onerror="alert(1)'),
        Headlines([Headline(HOSTILE, HOSTILE, HOSTILE)]),
        Answer(HOSTILE, HOSTILE, "little", HOSTILE),
        Stamps(HOSTILE, [Stamp(HOSTILE, HOSTILE, b"x")]),
        ThresholdSlider(HOSTILE, HOSTILE, [1.0], {HOSTILE: [0.5], "y": [1.0]}, {HOSTILE: 2}, 1.0),
    ],
)
def test_hostile_text_stays_text(block):
    elements = Elements(page(HOSTILE, [block], subtitle=HOSTILE))
    assert elements.named("script") == [{}]
    assert not any("onerror" in attributes for _, attributes in elements.found)
    assert HOSTILE in elements.text


def test_contents_link_to_each_heading():
    elements = Elements(page("t", [Heading(name) for name in ("a", "b", "c")]))
    targets = [link["href"].removeprefix("#") for link in elements.named("a")]
    assert targets == [heading["id"] for heading in elements.named("h2")]
    assert len(set(targets)) == 3


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.123456, "0.1235"),
        (1234567, "1\u202f234\u202f567"),
        ("E", "E"),
        (0, "0"),
    ],
)
def test_cells(cell, shown):
    assert cell_text(cell) == shown


def test_numbers_are_set_flush_right_and_words_are_not():
    table = Table("", ["id", "n", "interval"], [["587722981741363294x", 1, "0.1–0.2"], ["b", None, "≥ 0.3"]])
    assert [is_numeric_column(table, position) for position in range(3)] == [False, True, True]


with_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with headless(tmp_path_factory.mktemp("browser") / "profile") as shown:
        yield shown


def open_page(browser: Browser, html: str, folder: Path) -> None:
    """Open a page that lies in a file, and require that it logs no error and asks no host."""
    (folder / "page.html").write_text(html, encoding="utf-8")
    browser.open((folder / "page.html").as_uri())
    browser.wait_for("document.readyState === 'complete' && document.documentElement.classList.contains('scripted')")
    browser.require_quiet((folder / "page.html").as_uri())


@with_browser
def test_in_a_browser_tables_are_sorted_and_stamps_change_sides(browser: Browser, tmp_path: Path) -> None:
    stamps = [ScoredStamp(score, f"s{score:g}", b"\x89PNG") for score in (3.0, 1.5, 0.5)]
    slider = ThresholdSlider(
        "rates",
        "logit",
        [3, 2, 1, 0],
        {"FPR": [0, 0.1, 0.2, 1], "TPR": [0.2, 0.5, 0.9, 1]},
        {"FPR": 10},
        2.0,
        True,
        stamps,
    )
    table = Table("t", ["name", "value"], [["b", 2], ["a", None], ["c", "1\N{NARROW NO-BREAK SPACE}000"], ["d", -3.5]])
    open_page(browser, page("t", [slider, table]), tmp_path)
    names = "[...document.querySelectorAll('tbody th')].map(cell => cell.textContent.trim()).join('')"
    click = "document.querySelectorAll('th button')[1].click()"
    assert browser.read(f"{click}; {names}") == "dbca"
    assert browser.read(f"{click}; {names}") == "acbd"
    selected = "[...document.querySelectorAll('[data-selected=true] .stamp')].map(s => s.dataset.score).join()"
    assert browser.read(selected) == "3.0"
    assert browser.read("document.querySelector('output').textContent") == "logit 2.000, FPR 0.100 (1 of 10), TPR 0.500"
    browser.read("{const s = document.querySelector('input'); s.value = 3; s.dispatchEvent(new Event('input'))}")
    assert browser.read(selected) == "3.0,1.5,0.5"


@with_browser
def test_a_drawing_is_as_light_or_dark_as_the_page_and_light_on_paper(browser: Browser, tmp_path: Path) -> None:
    drawn = confusion_figure(np.array([[9, 1], [5, 5]]), ["a", "b"])
    stamps = Stamps("first", [Stamp("g1", "blank", drawn.png), Stamp("g2", "truncated", drawn.png)])
    open_page(browser, page("t", [Figure("c", drawn, "counts by class"), stamps]), tmp_path)
    require_accessible(browser)
    shown = {}
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", media=media, features=features)
        shown[scheme, media] = tuple(browser.read(f"getComputedStyle({place}") for place in (PAPER, INK))
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    light, dark = zip(COLOURS["paper"], COLOURS["ink"], strict=True)
    assert shown["light", "screen"] == shown["dark", "print"] == tuple(map(rgb, light))
    assert shown["dark", "screen"] == tuple(map(rgb, dark))
    assert browser.read("document.querySelector('.drawing').getBoundingClientRect().width") > 300


PAPER = "document.querySelector('.drawing')).backgroundColor"
INK = "[...document.querySelectorAll('.drawing g')].find((each) => each.style.fill.includes('ink'))).fill"


def rgb(colour: str) -> str:
    """A colour as browsers tell it."""
    return f"rgb{tuple(bytes.fromhex(colour[1:]))}"


@with_browser
def test_pages_of_an_evaluation_and_of_a_dataset_are_accessible(
    browser: Browser, workspace: Workspace, tmp_path: Path
) -> None:
    cells = [f"cell {row}" for row in range(30)]
    labels = ["real"] * 10 + ["bogus"] * 20
    dataset = publish_candidates(workspace, "tiny", labels, cells, ["train"] * 30, real=[True] * 10 + [False] * 20)
    counts = {"rejected": {"edge": 5}, "kinds": {"detection": 30}, "labels": {"real": 10, "bogus": 20}}
    summary = {"asked": 35, "stored": 30, "pixels": "simulated", "galaxy_share": {"asked": None}} | counts
    for html in (made_evaluation_page(), dataset_page(dataset, report_build(dataset, summary, lambda row: "none"))):
        open_page(browser, html, tmp_path)
        require_accessible(browser)


def made_evaluation_page() -> str:
    """Return the page of 30 made scores, with tables, figures and a slider."""
    rows = made_rows([True] * 10 + [False] * 20, columns={"snr": [6.0] * 30, "detector": ["one", "two"] * 15})
    scores = made_scores(rows, [*range(1, 11), 2.5, 5.5, *(-0.5 - step for step in range(18))])
    context = made_context(history={"train_loss": [1.0, 0.5], "validation_loss": [1.0, 0.6]}, notes=["a note"])
    near = np.array([9, 11]), np.random.default_rng(0).normal(100, 4, (2, 21, 21, 3)).astype(np.float32)
    evaluation = CandidateEvaluation(context, scores, rows.samples, {"bogus": near}, near)
    summary = summarise(scores, context) | {"verdicts": None}
    return evaluation_page(evaluation, summary, evaluation_figures(evaluation, summary), {})
