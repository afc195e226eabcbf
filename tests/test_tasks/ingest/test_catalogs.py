"""Catalogues of a workspace: paths, addresses, official names, catalogues found again."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from galaxy.catalogue.official_files import OFFICIAL_TABLES
from tasks.ingest.catalogs import catalog_path, ingest_into_workspace, locate_table
from tasks.ingest.provenance import read_provenance

LABELS = "OBJID,gz1_majority\n588848901537202306,elliptical\n588848901532418163,clockwise\n588848901532418163,merger\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "Labels v1.csv"
    path.write_text(LABELS)
    return path


@pytest.fixture
def site(labels: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(labels.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_summary_of_an_ingest_balances(workspace, labels) -> None:
    summary = ingest_into_workspace(workspace, "mine", [str(labels)], None)
    assert summary["rows_in"] == 3 == summary["rows"] + sum(summary["rejected"].values())
    assert summary["rejected"] == {"duplicate_id": 1}
    assert summary["kind"] == "labels-by-id"
    assert summary["path"] == str(workspace.catalogs / "mine.parquet")
    assert {"name", "path", "rows_in", "rows", "rejected", "kind", "seconds"} <= set(summary)


@pytest.mark.parametrize("name", ["../mine", "Mine", "", "a" * 65])
def test_names_that_could_leave_the_folder_are_refused(workspace, labels, name) -> None:
    with pytest.raises(ValueError, match="cannot name a catalogue"):
        ingest_into_workspace(workspace, name, [str(labels)], None)


def test_a_table_is_downloaded_once_and_its_digest_checked(workspace, labels, site) -> None:
    digest = hashlib.sha256(LABELS.encode()).hexdigest()
    address = f"{site}/Labels%20v1.csv#sha256={digest}"
    path = locate_table(workspace, address)
    assert path.read_text() == LABELS
    assert path.name == "Labels_v1.csv"
    labels.unlink()
    assert locate_table(workspace, address) == path


def test_a_wrong_digest_is_refused(workspace, site) -> None:
    with pytest.raises(ValueError, match="sha256"):
        locate_table(workspace, f"{site}/Labels%20v1.csv#sha256={'0' * 64}")


def test_rows_that_a_build_s_own_ingest_leaves_out_are_told(
    workspace, labels, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        path = catalog_path(workspace, str(labels))
    assert f"1 of 3 rows of {labels} are left out: duplicate_id 1; " in caplog.text
    assert str(path.parent / "rejected" / path.name) in caplog.text


def test_a_catalogue_is_found_by_name_by_path_or_made_of_a_table_once(workspace, labels, site) -> None:
    ingest_into_workspace(workspace, "mine", [str(labels)], None)
    named = workspace.catalogs / "mine.parquet"
    assert catalog_path(workspace, "mine") == named
    assert catalog_path(workspace, str(named)) == named
    made = catalog_path(workspace, str(labels))
    before = made.stat().st_mtime_ns
    assert catalog_path(workspace, f"{site}/Labels%20v1.csv").stem.split("-")[-1] == made.stem.split("-")[-1]
    assert catalog_path(workspace, str(labels)) == made
    assert made.stat().st_mtime_ns == before
    labels.write_text(LABELS.replace("clockwise", "edge_on"))
    assert catalog_path(workspace, str(labels)) != made


def test_other_metadata_makes_another_catalogue(workspace, labels, tmp_path) -> None:
    metadata = tmp_path / "metadata.csv"
    metadata.write_text("OBJID,REDSHIFT,PETROR90_R\n588848901537202306,0.05,9.5\n")
    joined = catalog_path(workspace, str(labels), str(metadata))
    assert joined != catalog_path(workspace, str(labels))
    assert read_provenance(joined)["joined"][0]["by_id"] == 1
    ingest_into_workspace(workspace, "mine", [str(labels)], None)
    with pytest.raises(ValueError, match="catalog=mine is ingested already"):
        catalog_path(workspace, "mine", str(metadata))


def test_other_names_of_columns_make_another_catalogue(workspace, tmp_path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("objid,ra,dec,RA_fit,DEC_fit\n7,1,2,10,20\n")
    fitted = {"ra": "RA_fit", "dec": "DEC_fit"}
    plain, named = catalog_path(workspace, str(table)), catalog_path(workspace, str(table), columns=fitted)
    assert plain != named == catalog_path(workspace, str(table), columns=dict(reversed(fitted.items())))
    assert catalog_path(workspace, str(table), columns={}) == plain
    assert read_provenance(named)["understood"] == {"id": "objid", "ra": "RA_fit", "dec": "DEC_fit"}
    with pytest.raises(ValueError, match=r"is ingested already: give columns=\{'ra': 'RA_fit'"):
        catalog_path(workspace, str(named), columns=fitted)


@pytest.mark.parametrize(
    ("header", "again"),
    [
        ("objid,ra,dec,redshift,petroR90_r", False),
        ("objid,ra,dec,look,petroR90_r", True),
        ("objid,ra,dec (deg),c,d", True),
    ],
)
def test_a_catalogue_without_an_account_is_made_again_where_its_tables_say_more(
    workspace, tmp_path, header, again
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"{header}\n7,1,2,0.1,5\n")
    path = catalog_path(workspace, str(table))
    kept = ["id", "ra_deg", "dec_deg", "redshift", "petro_r90_arcsec", "galactic_latitude_deg"]
    rows = pq.read_table(path)
    rows = rows.select([name for name in kept if name in rows.column_names])
    pq.write_table(rows.replace_schema_metadata({"starloom": '{"name": "old"}'}), path)
    assert catalog_path(workspace, str(table)) == path
    assert ("understood" in read_provenance(path)) is again


def test_the_summary_tells_the_columns(workspace, tmp_path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Unnamed: 0,OBJID,Bar,z\n0,7,strong,0.1\n1,8,none,\n")
    summary = ingest_into_workspace(workspace, "mine", [str(table)], None, {"redshift": "Z"})
    assert summary["understood"] == {"id": "OBJID", "redshift": "z"}
    assert (summary["kept"], summary["ignored"]) == (["Bar"], ["Unnamed: 0"])
    assert summary["missing"] == {"redshift": 1, "id": 0, "ra": 2, "dec": 2, "petro_r90": 2}


def test_an_unknown_table_names_what_there_is(workspace, labels) -> None:
    ingest_into_workspace(workspace, "mine", [str(labels)], None)
    with pytest.raises(ValueError, match=r"no table 'nowhere.csv'.*gz2-hart16.*\(mine\)"):
        catalog_path(workspace, "nowhere.csv")


def test_official_addresses_are_secure_and_distinct() -> None:
    assert len(set(OFFICIAL_TABLES.values())) == len(OFFICIAL_TABLES)
    assert all(address.startswith("https://") for address in OFFICIAL_TABLES.values())
