"""The page in a browser: by keyboard alone, open to everybody, without an error or a foreign host."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.app import create_app
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.runtime.workspace import Workspace
from tests.accessibility import require_accessible
from tests.browser import CHROMIUM, Browser, headless
from tests.served_pages import served as served_app
from tests.small_galaxies import publish_galaxies

with_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def served(workspace: Workspace, port: int = 0) -> Iterator[str]:
    """Serve the workspace's queues; give the address."""
    with served_app(create_app(workspace), port) as address:
        yield address


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with headless(tmp_path / "profile") as page:
        yield page


def begin(browser: Browser, address: str, name: str) -> None:
    """Open the page and give a name, by keys."""
    browser.open(address)
    browser.wait_for("document.getElementById('who-dialog')?.open")
    browser.press(*name, "Enter")
    wait_for_item(browser)


def wait_for_item(browser: Browser) -> None:
    browser.wait_for(
        "document.querySelector('#answers button')?.disabled === false && document.body.dataset.waiting !== '1'"
    )
    browser.wait_for("/^Item/.test(document.getElementById('status')?.textContent)")


def answer_with(browser: Browser, key: str) -> str:
    """Press the key on the present item, wait for another item, and return the first one's id."""
    sample = browser.read("document.getElementById('name').textContent")
    browser.press(key)
    browser.wait_for(f"document.getElementById('name').textContent !== '{sample}'")
    return str(sample)


@with_browser
def test_an_item_is_labelled_by_keyboard_alone(night: Workspace, browser: Browser) -> None:
    open_queue(night, QueueRequest(dataset="night", count=20, gold_share=0, overlap=0))
    with served(night) as address:
        begin(browser, f"{address}/label/night/random", "ann")
        one, two, three = (answer_with(browser, key) for key in "r2u")
        four = answer_with(browser, "s")
        # The comment's field has its own letters, and gives the keys back.
        browser.press("c", "r", "s", "Enter", "b")
        browser.wait_for("document.getElementById('counts').textContent.endsWith('yours 5')")
        five = AnswerLog.of(night, "night").rows()[-1].answer
        browser.wait_for("document.getElementById('name').textContent !== " + repr(five.sample))
        browser.press("z")
        browser.wait_for(f"document.getElementById('name').textContent === '{five.sample}'")
        drawn = "[...document.querySelectorAll('canvas')].map((each) => each.toDataURL()).join()"
        before = browser.read(drawn)
        for key in ("i", "+", "[", "n"):
            browser.press(key)
            assert browser.read(drawn) != before
            before = browser.read(drawn)
        browser.press(" ")
        browser.wait_for("document.querySelector('figcaption').textContent === 'Reference'")
        browser.wait_for("document.querySelector('figcaption').textContent === 'New'")
        assert f"sample={five.sample}" in browser.read("location.search")
        require_accessible(browser)
        browser.press("?")
        require_accessible(browser)
        browser.press(" ", "Escape", "i")  # the first control of the list of keys takes them away
        assert browser.read("document.getElementById('invert').checked")
        rows = [row.answer for row in AnswerLog.of(night, "night").rows()]
        assert [(row.sample, row.action, row.label) for row in rows] == [
            (one, "answer", "real"),
            (two, "answer", "real"),
            (three, "answer", "unsure"),
            (four, "skip", None),
            (five.sample, "answer", "bogus"),
            (five.sample, "undo", None),
        ]
        assert five.comment == "rs"
        assert {row.labeller for row in rows} == {"ann"}
        browser.require_quiet(address)


@with_browser
def test_answers_given_while_the_service_is_down_arrive_once(night: Workspace, browser: Browser) -> None:
    open_queue(night, QueueRequest(dataset="night", count=20, gold_share=0, overlap=0))
    with served(night) as address:
        begin(browser, f"{address}/label/night/random", "ann")
        first = answer_with(browser, "r")
        browser.wait_for("document.body.dataset.waiting === '0'")
        second = browser.read("document.getElementById('name').textContent")
    browser.press("b")
    browser.wait_for("document.body.dataset.waiting === '1'")
    time.sleep(2)
    with served(night, urlsplit(address).port or 0):
        browser.wait_for("document.body.dataset.waiting === '0'")
        wait_for_item(browser)
    rows = [row.answer for row in AnswerLog.of(night, "night").rows()]
    assert [(row.sample, row.label) for row in rows] == [(first, "real"), (second, "bogus")]


@with_browser
def test_items_are_chosen_by_keyboard_and_the_address_keeps_the_choice(night: Workspace, browser: Browser) -> None:
    queue, _ = open_queue(night, QueueRequest(dataset="night", count=20, gold_share=0, overlap=0, blind=False))
    labels = dict(zip(queue.ids, queue.rows["previous"].to_pylist(), strict=True))
    with served(night) as address:
        begin(browser, f"{address}/label/night/random?label=real", "ann")
        left = f"document.getElementById('left').textContent === '{list(labels.values()).count('real')} left'"
        browser.wait_for(left)
        skipped = [answer_with(browser, "s") for _ in range(2)]
        assert [labels[name] for name in skipped] == ["real", "real"]
        browser.press("/", "i", "Escape")  # the first choice that begins so: items I skipped
        browser.wait_for("document.getElementById('left').textContent === '2 left'")
        wait_for_item(browser)
        assert browser.read("document.getElementById('name').textContent") == skipped[0]
        assert browser.read("location.search") == f"?sample={skipped[0]}&mine=skipped&label=real"
        require_accessible(browser)
        answer_with(browser, "b")
        browser.press("r")
        browser.wait_for("/^Nothing like that left/.test(document.getElementById('status').textContent)")
        browser.read("document.querySelector('#filters button').click()")
        wait_for_item(browser)
        browser.wait_for("!/mine|label/.test(location.search)")
        place = int(queue.ids[10][1:]) // 2
        ra = 150 + place * 0.01
        at_place = (
            f"['c{2 * place:04d}', 'c{2 * place + 1:04d}'].includes(document.getElementById('name')?.textContent)"
        )
        browser.read("document.querySelector('[name=ra_deg]').focus()")
        browser.press(*f"{ra:.2f}", "Tab")
        browser.wait_for("document.getElementById('left').textContent === 'RA and Dec go together'")
        browser.press("2", "0", "Tab", "5", "Tab")
        browser.wait_for(f"location.search.endsWith('&ra_deg={ra:.2f}&dec_deg=20&radius_arcsec=5')")
        browser.wait_for(at_place)
        browser.open(f"{address}/label/night/random?ra_deg={ra:.2f}&dec_deg=20&radius_arcsec=5")
        browser.wait_for(at_place)
        browser.open(f"{address}/label/night/random?label=star")
        browser.wait_for("/no filter label=star/.test(document.getElementById('trouble')?.textContent)")
        wait_for_item(browser)
        browser.require_quiet(address)
        browser.open(f"{address}/label/night/random?ra_deg=150&dec_deg=100")
        browser.wait_for("/dec_deg=100 is not in the range/.test(document.getElementById('trouble')?.textContent)")
        assert browser.read("document.getElementById('status').textContent").endswith("the choice of items is refused.")
    rows = [row.answer for row in AnswerLog.of(night, "night").rows()]
    assert [(row.sample, row.label) for row in rows[2:]] == list(zip(skipped, ("bogus", "real"), strict=True))


@with_browser
def test_every_control_has_a_name_and_a_deep_link_opens_its_item(night: Workspace, browser: Browser) -> None:
    publish_galaxies(night, "sky", 40)
    queue, _ = open_queue(night, QueueRequest(dataset="sky", count=20, gold_share=0, blind=False))
    sample = queue.ids[13]
    with served(night) as address:
        begin(browser, f"{address}/label/sky/random?sample={sample}", "bob")
        assert browser.read("document.getElementById('name').textContent") == sample
        assert "Item 14 of 20" in browser.read("document.getElementById('status').textContent")
        browser.open(f"{address}/label/sky/random?sample=elsewhere")
        browser.wait_for("/elsewhere is not in this queue/.test(document.getElementById('trouble')?.textContent)")
        wait_for_item(browser)
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        named = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]
        controls = [
            pair for pair in named if pair[0] in {"button", "textbox", "slider", "checkbox", "combobox", "image"}
        ]
        assert len(controls) >= 12
        assert [pair for pair in controls if not pair[1].strip()] == []
        require_accessible(browser)
        browser.open(address)
        browser.wait_for("document.querySelectorAll('main.queues tbody tr').length === 1")
        require_accessible(browser)
        browser.require_quiet(address)
