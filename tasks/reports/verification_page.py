"""The page of a dataset's verification: what was compared, and every problem."""

from pathlib import Path

from tasks.reports.page import Heading, Headline, Headlines, Table, Text, page
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file, write_json
from tasks.store.verification import Verification


def write_verification(workspace: Workspace, found: Verification) -> Path:
    """Write the page, and the same counts and problems as JSON beside it, into the reports; return the page's path."""
    target = workspace.reports / f"verify-{found.dataset}-{found.version:06d}.html"
    with whole_file(target) as path:
        path.write_text(verification_page(found), encoding="utf-8")
    write_json(target.with_suffix(".json"), found.summary())
    return target


def verification_page(found: Verification) -> str:
    """Return the page as HTML."""
    counts = {name: value for name, value in found.summary().items() if name not in ("dataset", "version", "problems")}
    return page(
        f"Verification of dataset {found.dataset}, version {found.version}",
        [
            Headlines(
                [
                    Headline("problems", len(found.problems)),
                    Headline("samples with the ledger's pixels", found.pixels_ok, f"of {found.samples}"),
                ]
            ),
            Text(found.error() if found.problems else "Everything is as it was written."),
            Heading("Compared"),
            Table("Counts", ("quantity", "count"), [(name, str(value)) for name, value in counts.items()]),
            Heading("Problems"),
            Table("Problems", ("problem",), [(problem,) for problem in found.problems]),
        ],
    )
