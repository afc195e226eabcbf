"""The page in a browser: no error, no foreign host, and what changes on the disk is seen without reloading."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.decisions.ledger import append
from tasks.home.app import create_app
from tasks.reports.page import Table, page
from tasks.runtime.workspace import Workspace
from tests.accessibility import require_accessible
from tests.browser import CHROMIUM, Browser, headless
from tests.served_pages import served
from tests.small_home import decision

WIDTHS = (1280, 1440)
with_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with headless(tmp_path / "profile") as shown:
        yield shown


def wait_until_told(browser: Browser) -> None:
    browser.wait_for("document.getElementById('told')?.textContent.startsWith('updated')")


@with_browser
def test_empty_and_filled_it_fits_is_accessible_and_asks_no_foreign_host(
    browser: Browser, filled: Workspace, workspace: Workspace
) -> None:
    with served(create_app(filled)) as one, served(create_app(workspace)) as other:
        for address, heading in ((one, "Last night"), (other, "Nothing is here yet")):
            for width in WIDTHS:
                browser.call(
                    "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
                )
                browser.open(address)
                browser.wait_for(f"document.querySelector('h2')?.textContent === '{heading}'")
                wait_until_told(browser)
                assert browser.read("document.documentElement.scrollWidth") <= width
            browser.read("for (const details of document.querySelectorAll('details')) details.open = true")
            require_accessible(browser)
        browser.require_quiet(one, other)


@with_browser
def test_a_report_works_as_from_the_disk_and_no_other_script_does(browser: Browser, own: Workspace) -> None:
    table = Table("t", ["name"], [["b"], ["a"]])
    (own.reports / "sorted.html").write_text(page("sorted", [table]), encoding="utf-8")
    (own.reports / "foreign.html").write_text("<title>a</title><script>document.title = 'b'</script>")
    with served(create_app(own)) as address:
        browser.open(f"{address}/reports/sorted.html")
        browser.wait_for("document.documentElement?.matches('.scripted')")
        cells = "document.querySelector('th button').click(), document.querySelector('tbody').textContent.trim()"
        assert "".join(browser.read(cells).split()) == "ab"
        browser.require_quiet(address)
        browser.open(f"{address}/reports/foreign.html")
        browser.wait_for("'ab'.includes(document.title || 'none') && document.readyState === 'complete'")
        assert browser.read("document.title") == "a"


@with_browser
def test_what_changes_is_seen_without_reloading_and_what_was_open_stays_open(browser: Browser, own: Workspace) -> None:
    with served(create_app(own)) as address:
        browser.open(address)
        wait_until_told(browser)
        browser.read("document.getElementById('older-reports').open = true")
        browser.read("document.querySelector('#older-reports summary').focus()")
        browser.read("window.isSame = true")
        append(own, decision(3, "REJECT"))
        (own.reports / "night.html").write_text("<title>A night that came meanwhile</title>")
        browser.wait_for("/A night that came meanwhile/.test(document.getElementById('sections').textContent)")
        browser.wait_for("document.querySelector('[data-part=decisions] tbody th').textContent === '4'")
        assert browser.read("window.isSame && document.getElementById('older-reports').open")
        assert browser.read("document.activeElement.closest('details')?.id") == "older-reports"
        browser.require_quiet(address)
    browser.read("document.dispatchEvent(new Event('visibilitychange'))")  # which asks at once
    browser.wait_for("!document.getElementById('trouble').hidden")
    assert "No answer since" in browser.read("document.getElementById('trouble').textContent")
