"""The objects of a dataset's ledger beside a catalogue that labels them."""

import pyarrow as pa
import pyarrow.compute as pc

from galaxy.catalogue.errors import CatalogueError
from tasks.store.columns import align_rows

COMPLETED = ("ra_deg", "dec_deg", "redshift", "r_mag", "petro_r90_arcsec")
"""Columns that the ledger of a galaxy dataset shares with a catalogue."""


def complete_catalogue(table: pa.Table, ledger: pa.Table) -> pa.Table:
    """Return a catalogue whose missing values of `COMPLETED` are those of the ledger, joined on id.

    A table of labels alone so has the position, size and redshift of every object that was asked for before.
    """
    known = align_rows(ledger.select(["id", *(name for name in COMPLETED if name in ledger.column_names)]), table["id"])
    for name in known.column_names[1:]:
        if name not in table.column_names:
            table = table.append_column(name, known[name])
        elif table[name].null_count:
            field = table.schema.field(name)
            values = pc.coalesce(table[name], known[name].cast(field.type))
            table = table.set_column(table.schema.get_field_index(name), field, values)
    return table


def require_shared_ids(table: pa.Table, ledger: pa.Table, catalog: str, dataset: str) -> None:
    """Refuse a catalogue that has none of the ledger's objects.

    Raises
    ------
    CatalogueError
        It names an id of each.
    """
    if not pc.any(pc.is_in(table["id"], ledger["id"].combine_chunks())).as_py():
        raise CatalogueError(
            f"none of the {table.num_rows} objects of catalogue {catalog} is in dataset {dataset!r}: the first ids are "
            f"{table['id'][0].as_py()!r} there and {ledger['id'][0].as_py()!r} here; give a catalogue with the "
            "dataset's ids, or build another dataset"
        )
