"""The page of a dataset version: counts that balance, sample images, and the problem's own blocks."""

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.dataset_page import (
    BuildReport,
    count_funnel,
    dataset_page,
    page_path,
    rejected_blocks,
    write_dataset_page,
)
from tasks.reports.page import Figure, Stamps, Table
from tasks.runtime.workspace import Workspace
from tests.small_candidates import publish_candidates

SUMMARY = {"stored": 7, "rejected": {"blank": 2, "http_404": 1}}


def report() -> BuildReport:
    jpeg = to_jpeg(contact_sheet([np.full((8, 8, 3), 200, np.uint8)], ["a"], 1))
    assert Image.open(io.BytesIO(jpeg)).format == "JPEG"
    funnel = count_funnel("requested objects", 10, SUMMARY)
    return BuildReport(
        funnel,
        Figure("Samples <of> each class", jpeg, "sheet"),
        [Table("By class", ("class",), [["E"]])],
        preview,
        "grey",
    )


def preview(row: Mapping[str, Any]) -> NDArray[np.uint8] | str:
    return np.full((8, 8, 3), 200, np.uint8) if row["id"] == "g0" else "nothing came"


def test_a_page_links_to_its_validation_if_there_is_one(workspace: Workspace) -> None:
    dataset = publish_candidates(workspace, "tiny", ["real", "bogus"], ["a", "b"], ["train", "test"])
    assert "Validation of this version" not in dataset_page(dataset, report())
    dataset.validation_page.write_text("")
    write_dataset_page(workspace, dataset, report())
    (address,) = re.findall(r'href="([^"]+)">Validation of this version', page_path(workspace, dataset).read_text())
    assert (workspace.reports / address).resolve() == dataset.validation_page.resolve()


def test_the_funnel_goes_from_requested_to_stored_and_balances() -> None:
    funnel = count_funnel("requested objects", 10, SUMMARY)
    assert funnel == [("requested objects", 10), ("rejected: blank", -2), ("rejected: http_404", -1), ("stored", 7)]
    assert sum(count for _, count in funnel[:-1]) == funnel[-1][1]


def test_a_page_names_version_digest_and_what_its_pixels_and_labels_are(workspace: Workspace) -> None:
    dataset = publish_candidates(workspace, "tiny", ["real", "bogus"], ["a", "b"], ["train", "test"])
    html = dataset_page(dataset, report())
    assert "Dataset tiny, version 1" in html
    assert "holds 2 of the 2 samples that were asked for, 2 of them labelled in 2 classes" in html
    assert "The smallest class, bogus, has 1 samples" in html
    assert f"Pixels are simulated, labels are injection. Digest {dataset.digest}." in html
    assert "rejected: http_404" in html
    assert "Samples &lt;of&gt; each class" in html
    assert html.index("From requested to stored samples") < html.index("By class")


def test_the_page_is_written_beside_the_other_reports(workspace: Workspace) -> None:
    dataset = publish_candidates(workspace, "tiny", ["real", "bogus"], ["a", "b"], ["train", "test"])
    assert page_path(workspace, dataset) == workspace.reports / "tiny-000001.html"
    write_dataset_page(workspace, dataset, report())
    assert page_path(workspace, dataset).read_text(encoding="utf-8") == dataset_page(dataset, report())


def test_rejected_samples_are_named_by_reason_the_most_frequent_first() -> None:
    reasons = ["blank"] * 2 + ["http_404"] * 5 + [None]
    ledger = pa.table(
        {
            "id": [f"g{number}" for number in range(8)],
            "status": ["rejected"] * 7 + ["stored"],
            "reason": reasons,
            "ra_deg": [150.0, None, *[10.25] * 6],
            "dec_deg": [2.0, None, *[-1.5] * 6],
        }
    )
    table, stamps = rejected_blocks(ledger, preview, "grey")
    assert isinstance(table, Table)
    assert [list(row) for row in table.rows] == [
        [
            *("http_404", 5, "g2 (10.25000, -1.50000); g3 (10.25000, -1.50000); g4 (10.25000, -1.50000); ..."),
            "nothing came",
        ],
        ["blank", 2, "g0 (150.00000, +2.00000); g1", "1 below; nothing came"],
    ]
    assert isinstance(stamps, Stamps)
    assert stamps.caption == "The first rejected samples of each reason: grey"
    [stamp] = stamps.stamps
    assert (stamp.name, stamp.about) == ("g0", "blank")
    assert (np.asarray(Image.open(io.BytesIO(stamp.picture))) == 200).all()
    assert rejected_blocks(ledger.slice(7), preview, "grey") == []
