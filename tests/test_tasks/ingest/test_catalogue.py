"""Ingest of tables of every kind and format, and of bad ones."""

import gzip
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from galaxy.catalogue.columns import COLUMNS, VOTE_MEASURES
from galaxy.catalogue.errors import CatalogueError
from galaxy.labels.labelling import class_counts
from galaxy.labels.schemes import SchemeError, load_scheme
from galaxy.labels.votes import STEMS, derive_classes
from galaxy.simulation.synthetic_sky import SyntheticSky, synthetic_sky
from tasks.ingest.catalogue import ingest
from tasks.ingest.joining import read_mapping
from tasks.ingest.provenance import is_catalogue, read_provenance
from tasks.tables.roles import ColumnRoleError
from tasks.tables.table_files import TableError

GZ1 = """OBJID,RA,DEC,NVOTE,P_EL,P_CW,P_ACW,P_EDGE,P_DK,P_MG,P_CS,\
P_EL_DEBIASED,P_CS_DEBIASED,SPIRAL,ELLIPTICAL,UNCERTAIN
587727178986356823,00:00:00.41,-10:22:25.7,59,0.61,0.034,0.0,0.153,0.153,0.051,0.186,0.61,0.186,0,0,1
587727227300741210,12:30:00.00,-00:12:34.5,18,0.1,0.7,0.1,0.0,0.1,0.0,0.8,0.1,0.85,1,0,0
587727225153257596,23:59:60.00,+15:00:00.0,68,0.9,0.0,0.0,0.0,0.05,0.05,0.0,0.91,0.0,0,1,0
"""
GZ1_METADATA = """#Table1
objid,ra,dec,z,petroR90_r,petroR50_r,petroMag_r,extinction_r,psfWidth_r
587727178986356823,0.0017,-10.3738,0.0762,8.25,3.1,16.5,0.1,1.5
587727227300741210,187.5,-0.2096,,-9999,-9999,-9999,-9999,-9999
999999999999999999,0.0002,15.0001,0.05,12,5,35.2,0.1,1.2
"""


@pytest.fixture(scope="module")
def sky() -> SyntheticSky:
    return synthetic_sky(300, 7)


@pytest.fixture(scope="module")
def hart(sky: SyntheticSky, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("hart") / "votes.csv"
    pa.csv.write_csv(sky.votes, path)
    return path


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def catalogue(tables: list[Path], folder: Path, metadata: Path | None = None) -> pa.Table:
    report = ingest(tables, metadata, folder / "out.parquet")
    rows = pq.read_table(report.path)
    assert report.rows == rows.num_rows
    assert report.rows_in == report.rows + sum(report.rejected.values())
    return rows


def write_as(table: pa.Table, folder: Path, form: str) -> Path:
    path = folder / f"votes.{form}"
    if form.startswith("csv"):
        pa.csv.write_csv(table, path)
    elif form == "parquet":
        pq.write_table(table, path)
    else:
        frame = Table({name: table[name].to_numpy() for name in table.column_names})
        for name in table.column_names:
            if pa.types.is_string(table[name].type):
                frame[name] = np.array(
                    [f"{text:<12}" for text in table[name].to_pylist()]
                )  # blank padded, as published
        frame.write(path, format="votable" if form == "vot" else "fits")
    if form == "csv.gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


@pytest.mark.parametrize("form", ["csv", "csv.gz", "fits", "fits.gz", "vot", "parquet"])
def test_every_format_gives_the_same_catalogue(sky, hart, tmp_path, form) -> None:
    rows = catalogue([write_as(sky.votes.slice(0, 60), tmp_path, form)], tmp_path)
    assert rows.num_rows == 60
    expected = catalogue([hart], tmp_path).slice(0, 60)
    assert rows.schema.equals(expected.schema, check_metadata=False)
    for name in rows.column_names:
        if pa.types.is_floating(rows[name].type):
            got, wanted = rows[name].to_numpy(), expected[name].to_numpy()
            np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            assert rows[name].to_pylist() == expected[name].to_pylist(), name


def test_a_vote_table_keeps_ids_votes_and_classes(sky, hart, tmp_path) -> None:
    rows = catalogue([hart], tmp_path)
    assert rows["id"].to_pylist() == [str(number) for number in sky.votes["dr7objid"].to_pylist()]
    assert rows["gz2_class"].to_pylist() == sky.votes["gz2_class"].to_pylist()
    assert rows["gz2_class_derived"].equals(pa.chunked_array([derive_classes(sky.votes)]))
    for stem in STEMS:
        assert rows[f"{stem}_count"].to_pylist() == sky.votes[f"{stem}_count"].to_pylist()
    assert is_catalogue(tmp_path / "out.parquet")


def test_columns_are_typed_and_carry_units_and_meaning(hart, tmp_path) -> None:
    schema = catalogue([hart], tmp_path).schema
    described = {column.name: column for column in COLUMNS}
    assert set(schema.names) <= set(described)
    for item in schema:
        assert item.type == described[item.name].type
        assert item.metadata[b"unit"].decode() == described[item.name].unit
        assert item.metadata[b"meaning"]


def test_a_catalogue_is_a_table_itself(hart, tmp_path) -> None:
    once = catalogue([hart], tmp_path)
    again = ingest([tmp_path / "out.parquet"], None, tmp_path / "again.parquet")
    assert pq.read_table(again.path).equals(once)


def test_gz1_positions_are_hours_and_signed_and_flags_are_read_not_recomputed(tmp_path) -> None:
    rows = catalogue([written(tmp_path, GZ1)], tmp_path)
    assert rows["ra_deg"].to_pylist() == pytest.approx([0.41 * 15 / 3600, 187.5, 0.0])
    assert rows["dec_deg"].to_pylist() == pytest.approx([-(10 + 22 / 60 + 25.7 / 3600), -(12 / 60 + 34.5 / 3600), 15])
    assert rows["gz1_class"].to_pylist() == ["uncertain", "spiral", "elliptical"]
    assert rows["gz1_majority"].to_pylist() == ["elliptical", "clockwise", "elliptical"]
    assert rows["gz1_votes"].to_pylist() == [59, 18, 68]
    assert "redshift" not in rows.column_names
    assert class_counts(load_scheme("gz1-2class"), rows) == ({"elliptical": 1, "spiral": 1}, {"uncertain": 1})


def test_metadata_joins_on_id_else_on_position_and_leaves_missing_values_missing(tmp_path) -> None:
    metadata = written(tmp_path, GZ1_METADATA, "metadata.csv")
    report = ingest([written(tmp_path, GZ1)], metadata, tmp_path / "out.parquet")
    rows = pq.read_table(report.path)
    assert report.joined == {"metadata.csv": {"by_id": 2, "by_position": 1, "neither": 0}}
    assert rows["redshift"].to_pylist() == [0.0762, None, 0.05]
    assert rows["petro_r90_arcsec"].to_pylist() == [8.25, None, 12.0]
    assert rows["r_mag"].to_pylist() == [16.5, None, None]  # 35.2 marks bad photometry
    assert rows["r_mag_corrected"].to_pylist() == [pytest.approx(16.4), None, None]
    assert rows["area_ratio"].to_pylist() == [pytest.approx((2 * 8.25 / 1.5) ** 2), None, pytest.approx(400.0)]
    assert report.missing["redshift"] == 1


def test_a_tables_own_values_stay_before_the_metadatas(tmp_path) -> None:
    table = written(tmp_path, "objid,redshift,gz1_class\n587727178986356823,0.07,spiral\n")
    rows = catalogue([table], tmp_path, written(tmp_path, GZ1_METADATA, "metadata.csv"))
    assert rows["redshift"].to_pylist() == [0.07]
    assert rows["ra_deg"].to_pylist() == [0.0017]


def test_metadata_of_the_synthetic_sky_joins_every_row(sky, hart, tmp_path) -> None:
    metadata = tmp_path / "metadata.csv"
    shuffled = sky.metadata.take(pa.array(np.random.default_rng(1).permutation(sky.metadata.num_rows)))
    pa.csv.write_csv(shuffled, metadata)
    rows = catalogue([hart], tmp_path, metadata)
    radius = dict(zip(sky.metadata["OBJID"].to_pylist(), sky.metadata["PETROR90_R"].to_pylist(), strict=True))
    assert rows["petro_r90_arcsec"].to_pylist() == pytest.approx(
        [radius[int(number)] for number in rows["id"].to_pylist()]
    )


def test_mapping_among_the_tables_brings_asset_ids_and_keeps_the_first_of_repeated_ids(sky, hart, tmp_path) -> None:
    ids = sky.votes["dr7objid"].to_pylist()
    lines = "".join(f"{number},original,{asset}\n" for asset, number in enumerate(ids, 1))
    mapping = written(tmp_path, f"objid,sample,asset_id\n{lines}{ids[0]},stripe82_coadd_2,9999\n", "mapping.csv")
    assert read_mapping(mapping)["asset_id"].to_pylist() == list(range(1, len(ids) + 1))
    assert catalogue([mapping, hart], tmp_path)["asset_id"].to_pylist() == list(range(1, len(ids) + 1))


def test_tables_without_ids_or_positions(tmp_path) -> None:
    by_file = written(tmp_path, "file,gz1_class\nsub/g1.jpg,spiral\n../../g2.jpg,spiral\n", "files.csv")
    rows = catalogue([by_file], tmp_path)
    assert rows["id"].to_pylist() == ["g1"]
    by_position = written(tmp_path, "RA,DEC,kind\n10.5,-2.25,x\n359.99999,+89.5,y\n", "positions.csv")
    rows = catalogue([by_position], tmp_path)
    assert rows["id"].to_pylist() == ["J010.50000-02.25000", "J359.99999+89.50000"]
    assert rows["kind"].to_pylist() == ["x", "y"]  # a column for users' own schemes


def test_rows_are_rejected_by_reason_and_listed(tmp_path) -> None:
    text = "id,ra,dec,gz1_class\n"
    good = ["a,10,10,spiral", "b,359.9999,0,spiral", "c,120,89.9999,spiral"]
    bad = {
        "duplicate_position": ["d,0.0001,0,spiral", "e,300,89.99999,spiral"],
        "duplicate_id": ["a,50,50,spiral"],
        "id_missing": [",60,60,spiral"],
        "id_unsafe": ["../../etc,61,60,spiral", "x/y,62,60,spiral"],
        "position_missing": ["f,,10,spiral", "g,nan,10,spiral", "h,-9999,10,spiral"],
        "position_out_of_range": ["i,361,0,spiral", "j,0,-90.5,spiral"],
        "position_unreadable": ["k,inf,0,spiral", "l,east,0,spiral"],
    }
    table = written(tmp_path, text + "\n".join(good + [row for rows in bad.values() for row in rows]) + "\n")
    report = ingest([table], None, tmp_path / "out.parquet")
    assert report.rejected == {reason: len(rows) for reason, rows in sorted(bad.items())}
    assert pq.read_table(report.path)["id"].to_pylist() == ["a", "b", "c"]
    listed = pq.read_table(tmp_path / "rejected" / "out.parquet")
    assert listed["row"].to_pylist() == list(range(3, 3 + sum(map(len, bad.values()))))
    assert listed["kept"].to_pylist()[:3] == ["b", "c", "a"]
    assert set(listed["table"].to_pylist()) == {"table.csv"}


def test_the_first_unsafe_ids_are_shown_with_their_rows(tmp_path) -> None:
    ids = ["ok-1", "m 51", "a/b", "ok.2", "..", "ngc:7"]
    table = written(tmp_path, "id,gz1_class\n" + "".join(f"{name},spiral\n" for name in ids))
    [note] = ingest([table], None, tmp_path / "out.parquet").columns["notes"]
    assert note.startswith("4 rows rejected, their ids cannot name files: ")
    assert "'m 51' (row 1 of table.csv, from 0), 'a/b' (row 2 " in note
    assert "'..' (row 4 of table.csv, from 0), ...; an id has" in note
    assert "ngc:7" not in note
    assert read_provenance(tmp_path / "out.parquet")["notes"] == [note]
    with pytest.raises(CatalogueError, match=r"no row of table\.csv can be used: .*'m 51' \(row 0 "):
        ingest([written(tmp_path, "id,gz1_class\nm 51,spiral\n")], None, tmp_path / "none.parquet")


def test_a_column_is_named_as_the_table_writes_it_or_without_its_unit(tmp_path) -> None:
    table = written(tmp_path, "Name,RA (hours),Dec (deg),Expert Class\na,10,1,S\nb,12,2,SB\n")
    for ra in ("RA (hours)", "ra"):
        named = {"id": "Name", "ra": ra, "gz2_class": "Expert Class"}
        rows = pq.read_table(ingest([table], None, tmp_path / "out.parquet", columns=named).path)
        assert rows["ra_deg"].to_pylist() == [150, 180]
        assert rows["gz2_class"].to_pylist() == ["S", "SB"]
    with pytest.raises(ColumnRoleError, match=r"columns names 'ra \(min\)' for ra, which no table has"):
        ingest([table], None, tmp_path / "none.parquet", columns={"ra": "RA (min)"})


def test_the_first_unreadable_positions_are_shown_with_their_columns(tmp_path) -> None:
    rows = ["a,10,10", "b,10h00m,north", "c,east,12", "d,,13", "e,inf,14", "f,15,south"]
    table = written(tmp_path, "id,RAJ2000,DEJ2000\n" + "".join(f"{row}\n" for row in rows))
    report = ingest([table], None, tmp_path / "out.parquet")
    assert report.rejected == {"position_missing": 1, "position_unreadable": 4}
    assert report.columns["notes"] == [
        "4 rows rejected, their positions cannot be read, such as raj2000 = 'east', raj2000 = 'inf', "
        "dej2000 = 'north': give decimal degrees, or hh:mm:ss and dd:mm:ss"
    ]
    with pytest.raises(CatalogueError, match=r"no row of table\.csv can be used: .*ra = 'east'.*give decimal degrees"):
        ingest([written(tmp_path, "id,ra,dec\na,east,1\n")], None, tmp_path / "none.parquet")


def test_provenance_says_what_was_read(hart, tmp_path) -> None:
    report = ingest([hart, written(tmp_path, GZ1, "gz1.csv")], None, tmp_path / "out.parquet", name="both")
    provenance = read_provenance(report.path)
    assert [item["kind"] for item in provenance["sources"]] == ["gz2-hart16", "gz1-table2"]
    assert [item["rows"] for item in provenance["sources"]] == [300, 3]
    assert all(re.fullmatch(r"[0-9a-f]{64}", item["sha256"]) for item in provenance["sources"])
    assert report.kind == "gz2-hart16+gz1-table2"
    assert str(tmp_path) not in str(provenance)
    rows = pq.read_table(report.path)
    assert rows["gz1_class"].null_count == report.rows - 3
    assert rows["gz2_class"].null_count == 3


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_counts_that_pandas_wrote_as_floats_and_missing_fractions_are_read(sky, tmp_path, form) -> None:
    name = "t01_smooth_or_features_a01_smooth"
    frame = sky.votes.slice(0, 4).to_pandas()
    frame[f"{name}_count"] = [np.nan, 12.0, 0.0, 3.0]
    frame[f"{name}_debiased"] = [np.nan, 0.5, -9999.0, 0.25]
    path = tmp_path / f"pandas.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    rows = catalogue([path], tmp_path)
    assert rows[f"{name}_count"].to_pylist() == [None, 12, 0, 3]
    assert rows[f"{name}_debiased"].to_pylist() == [None, 0.5, None, 0.25]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["5.87722981741363e+17", "587722981741363294"], r"'5.87722981741363e\+17'"),
        (["587722981741363294.0", "587722981741363300.0"], "'587722981741363294.0'"),
        ([str(128 * (4591585794854400 + k)) for k in range(5)], "all 5 ids are multiples of 128"),
    ],
)
def test_ids_that_went_through_float64_are_refused(tmp_path, ids, message) -> None:
    table = written(tmp_path, "objid,gz1_majority\n" + "".join(f"{text},elliptical\n" for text in ids))
    with pytest.raises(CatalogueError, match=rf"table.csv: id column 'objid' went through float64.*{message}"):
        ingest([table], None, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("form", ["fits", "vot", "parquet"])
def test_float_id_columns_are_refused_in_typed_files(sky, tmp_path, form) -> None:
    floating = sky.votes.slice(0, 3)
    floating = floating.set_column(0, "dr7objid", floating["dr7objid"].cast(pa.float64(), safe=False))
    with pytest.raises(CatalogueError, match="id column 'dr7objid' is floating point"):
        ingest([write_as(floating, tmp_path, form)], None, tmp_path / "out.parquet")


def test_true_ids_are_not_taken_for_damaged_ones(shared_data, tmp_path) -> None:
    labels = shared_data / "gz1_images" / "labels.csv"
    assert catalogue([labels], tmp_path)["id"].to_pylist() == [
        line.split(",")[0] for line in labels.read_text().split()[1:]
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "t03_bar_a06_bar_debiased",
            "t03_bar_a06_bar_debiasd",
            "lacks column 't03_bar_a06_bar_debiased'; is 't03_bar_a06_bar_debiasd'",
        ),
        (",dec,", ",northing,", "lacks column 'dec_deg' or 'dec'"),
        ("gz2_class", "gz2_clas", "lacks column 'gz2class' or 'gz2_class'; is 'gz2_clas' a renamed one"),
        (",dec,", ",RA,", "two columns named 'ra'"),
    ],
)
def test_missing_or_renamed_columns_are_named(hart, tmp_path, old, new, message) -> None:
    header, _, rest = hart.read_text().partition("\n")
    header = header.replace('"', "")
    assert old in header
    with pytest.raises((CatalogueError, TableError), match=message):
        ingest([written(tmp_path, f"{header.replace(old, new, 1)}\n{rest}")], None, tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"objid,gz1_class\n", "has columns but no rows"),
        (b"colour,size\nred,3\n", r"\(labels-by-file\) lacks column"),
        (b"objid,gz1_class\n1,spiral\n2\n", "Expected 2 columns, got 1"),
        (b"objid,ra,dec\n,1,1\n", "no row of bad.csv can be used: {'id_missing': 1}"),
        (b"objid,redshift\n588848901537202306,far\n", "column 'redshift'.*'far'"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (gzip.compress(GZ1.encode())[:-20], "cannot be read"),
        (b"PAR1 and nothing more", "cannot be read"),
        (b"objid,sample,asset_id\n1,original,3\n", "no table to ingest"),
    ],
)
def test_tables_that_cannot_be_used_are_named_and_leave_nothing(tmp_path, content, message) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises((CatalogueError, TableError), match=message):
        ingest([path], None, tmp_path / "out" / "out.parquet")
    assert not list((tmp_path / "out").iterdir())


def test_a_failed_ingest_leaves_the_earlier_catalogue(hart, tmp_path) -> None:
    before = catalogue([hart], tmp_path)
    with pytest.raises(CatalogueError):
        ingest([hart, written(tmp_path, "objid,gz1_class\n")], None, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").equals(before)


def test_fits_null_integers_and_tables_in_later_units(tmp_path) -> None:
    columns = [
        fits.Column("OBJID", "K", array=np.array([588848901537202306, 588848901537202307])),
        fits.Column("NVOTE", "J", null=99, array=np.array([99, 7])),
        fits.Column("REDSHIFT", "D", array=np.array([0.1, np.nan])),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "t.fits")
    rows = catalogue([tmp_path / "t.fits"], tmp_path)
    assert rows["id"].to_pylist() == ["588848901537202306", "588848901537202307"]
    assert rows["gz1_votes"].to_pylist() == [None, 7]
    assert rows["redshift"].to_pylist() == [0.1, None]


def test_the_real_coadd_table(shared_data, tmp_path) -> None:
    rows = catalogue([shared_data / "gz_tables" / "willett13_table5.csv.gz"], tmp_path)
    assert rows.num_rows == 19_761 - 5
    assert pc.all(pc.match_substring_regex(rows["id"], r"^86474\d{14}$")).as_py()
    assert {f"{stem}_{measure}" for stem in STEMS for measure in VOTE_MEASURES} <= set(rows.column_names)
    counts, left_out = class_counts(load_scheme("deck-11"), rows)
    assert sum(counts.values()) + sum(left_out.values()) == rows.num_rows
    assert set(left_out) == {"edge_on", "star_or_artifact"}
    by_name = {name: sum(class_counts(load_scheme(f"deck-{name}"), rows)[0].values()) for name in (3, 7, 9, 11)}
    assert by_name[3] == by_name[11] == by_name[7] + counts["Sd"] + counts["SBd"]
    assert by_name[7] == by_name[9]


def test_the_real_positions_table(shared_data, tmp_path) -> None:
    rows = catalogue([shared_data / "gz1_spirals_by_position" / "positions.csv"], tmp_path)
    assert rows.num_rows == 2_980
    assert [f"{number}.jpg" for number in rows["id"].to_pylist()] == rows["file"].to_pylist()


def test_a_second_ingest_replaces_the_list_of_rejected_rows(tmp_path) -> None:
    table = written(tmp_path, "id,my_class\na,x\na,y\nb,z\n")
    for _ in range(2):
        assert ingest([table], None, tmp_path / "out.parquet").rejected == {"duplicate_id": 1}
    listed = pq.read_table(tmp_path / "rejected" / "out.parquet")
    assert listed.to_pylist() == [{"table": "table.csv", "row": 1, "id": "a", "reason": "duplicate_id", "kept": "a"}]
    ingest([written(tmp_path, "id,my_class\na,x\n")], None, tmp_path / "out.parquet")
    assert not (tmp_path / "rejected" / "out.parquet").exists()


def test_latitude_area_ratio_and_right_ascension_are_completed(tmp_path) -> None:
    text = "id,ra,dec,petro_r90_arcsec,psf_fwhm_arcsec,area_ratio\na,360,0,6,1.5,\nb,192.85948,27.12825,6,1.5,7\n"
    rows = catalogue([written(tmp_path, text)], tmp_path)
    assert rows["ra_deg"].to_pylist() == [0.0, 192.85948]
    assert rows["area_ratio"].to_pylist() == [64.0, 7.0]
    assert rows["galactic_latitude_deg"].to_pylist()[1] == pytest.approx(90, abs=1e-5)


def test_the_provenance_has_the_given_name_or_the_files(tmp_path) -> None:
    table = written(tmp_path, "id,my_class\na,x\n")
    ingest([table], None, tmp_path / "out.parquet")
    assert read_provenance(tmp_path / "out.parquet")["name"] == "out"
    ingest([table], None, tmp_path / "out.parquet", name="mine")
    assert read_provenance(tmp_path / "out.parquet")["name"] == "mine"


PARTS = {
    "table 3": "OBJID,RA,DEC,NVOTE,P_EL,P_CW,P_ACW,P_EDGE,P_DK,P_MG,P_CS\n"
    "587727178986356823,00:00:00.41,-10:22:25.7,59,0.61,0.03,0,0.15,0.15,0.05,0.19\n"
    "587727227300741210,12:30:00.00,-00:12:34.5,18,0.1,0.7,0.1,0,0.1,0,0.8\n",
    "zooNoSpec": "specobjid,objid,dr7objid,ra,dec,rastring,decstring,nvote,p_el,p_cw,p_acw,p_edge,p_dk,p_mg,p_cs\n"
    "0,1237650000000000001,587727178986356823,0.0017,-10.37,a,b,59,0.61,0.03,0,0.15,0.15,0.05,0.19\n"
    "0,1237650000000000002,587727227300741210,187.5,-0.21,a,b,18,0.1,0.7,0.1,0,0.1,0,0.8\n",
    "the buttons": "OBJID,P_MG,P_DK,P_EDGE,P_ACW,P_CW,P_EL\n"
    "587727178986356823,0.05,0.15,0.15,0,0.03,0.61\n587727227300741210,0,0.1,0,0.1,0.7,0.1\n",
}


@pytest.mark.parametrize("part", PARTS)
def test_part_of_a_published_table_is_enough_for_a_scheme_that_reads_that_part(tmp_path, part: str) -> None:
    rows = catalogue([written(tmp_path, PARTS[part])], tmp_path)
    assert rows["id"].to_pylist() == ["587727178986356823", "587727227300741210"]
    assert class_counts(load_scheme("gz1-majority-2class"), rows) == ({"elliptical": 1, "spiral": 1}, {})
    with pytest.raises(SchemeError, match="gz1-2class needs a column"):
        class_counts(load_scheme("gz1-2class"), rows)


def test_a_class_string_with_few_votes_is_labelled_and_no_class_is_derived(tmp_path) -> None:
    vote = "t01_smooth_or_features_a01_smooth_debiased"
    rows = catalogue([written(tmp_path, f"ra,dec,gz2_class,{vote}\n10,20,SBb,0.1\n11,21,Er,0.9\n")], tmp_path)
    assert rows["id"].to_pylist() == ["J010.00000+20.00000", "J011.00000+21.00000"]
    assert "gz2_class_derived" not in rows.column_names
    assert rows[vote].to_pylist() == pytest.approx([0.1, 0.9])
    assert class_counts(load_scheme("deck-3"), rows)[0] == {"E": 1, "S": 0, "SB": 1}


@pytest.mark.parametrize("form", ["csv", "fits", "vot", "parquet"])
def test_own_columns_of_every_format_and_kind_are_text(sky, tmp_path, form: str) -> None:
    votes = sky.votes.slice(0, 3).append_column("Look", pa.array(["bar", "no bar", "bar"]))
    votes = votes.append_column("Grade", pa.array([3, 1, 2]))
    rows = catalogue([write_as(votes, tmp_path, form)], tmp_path)
    assert rows["look"].to_pylist() == ["bar", "no bar", "bar"]
    assert rows["grade"].to_pylist() == ["3", "1", "2"]


def test_a_mapping_saved_with_its_index_is_joined_and_one_with_labels_alone_is_stacked(tmp_path) -> None:
    table = written(tmp_path, "objid,gz2_class\n8,Er\n7,Sb\n")
    mapping = written(tmp_path, ",objid,sample,asset_id,look\n0,7,original,16,a\n1,8,extra,17,b\n", "mapping.csv")
    rows = catalogue([mapping, table], tmp_path)
    assert rows.select(["id", "asset_id", "look"]).to_pydict() == {
        "id": ["8", "7"],
        "asset_id": [17, 16],
        "look": ["b", "a"],
    }
    assert catalogue([mapping], tmp_path)["look"].to_pylist() == ["a", "b"]


def test_ids_and_files_alone_are_joined_to_other_tables(tmp_path) -> None:
    table = written(tmp_path, "objid,my_class\n7,S\n8,SB\n")
    files = written(tmp_path, ",objid,filename\n0,8,b.jpg\n1,9,c.jpg\n", "files.csv")
    rows = catalogue([files, table], tmp_path)
    assert rows.select(["id", "my_class", "file"]).to_pylist() == [
        {"id": "7", "my_class": "S", "file": None},
        {"id": "8", "my_class": "SB", "file": "b.jpg"},
    ]
    more = written(tmp_path, "objid,file\n10,d.jpg\n", "more.csv")
    assert catalogue([files, more], tmp_path)["id"].to_pylist() == ["8", "9", "10"]


def test_a_mapping_alone_has_no_objects(tmp_path) -> None:
    mapping = written(tmp_path, ",objid,sample,asset_id\n0,7,original,16\n", "mapping.csv")
    with pytest.raises(CatalogueError, match="no table to ingest"):
        ingest([mapping], None, tmp_path / "out.parquet")


def test_a_named_column_that_no_table_has_is_refused_before_anything_is_read(tmp_path) -> None:
    table, metadata = written(tmp_path, "objid,look\n7,a\n"), written(tmp_path, "objid,zbest\n7,0.1\n", "metadata.csv")
    with pytest.raises(ColumnRoleError, match=r"names 'z_fit' for redshift, which no table has"):
        ingest([table], metadata, tmp_path / "out.parquet", columns={"redshift": "z_fit"})
    report = ingest([table], metadata, tmp_path / "out.parquet", columns={"redshift": "zbest"})
    assert report.columns["understood"]["redshift"] == "zbest"
