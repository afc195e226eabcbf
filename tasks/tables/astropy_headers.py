"""The header in YAML that astropy writes into ECSV and Parquet files: types and units of columns."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DeclaredColumn:
    """What a header says of one column.

    Attributes
    ----------
    name : str
    kind : str
        Type of the values, such as ``float64``; of arrays, such as ``float64[3]``.
    unit : str
        Empty without one.
    nested : bool
        It holds arrays or objects.
    """

    name: str
    kind: str
    unit: str
    nested: bool

    def why_not_flat(self) -> str:
        """Say why a column is no flat text or number; empty where it is."""
        if self.kind.startswith("complex"):
            return "it holds complex numbers"
        return f"it holds arrays or objects ({self.kind})" if self.nested else ""


def parse_header(lines: Sequence[str]) -> tuple[DeclaredColumn, ...]:
    """Return the columns of a header.

    Parameters
    ----------
    lines : sequence of str
        The YAML, without comment signs.

    Raises
    ------
    ValueError
        It is no YAML, or no header of astropy's.
    """
    from astropy.table.meta import YamlParseError, get_header_from_yaml

    try:
        columns = get_header_from_yaml(list(lines))["datatype"]
        return tuple(
            DeclaredColumn(
                name=str(column["name"]),
                kind=str(column.get("subtype") or column["datatype"]),
                unit=str(column.get("unit", "")),
                nested="subtype" in column,
            )
            for column in columns
        )
    except YamlParseError as error:
        raise ValueError(" ".join(str(error.__cause__).split())) from error
    except KeyError as error:
        raise ValueError(f"it lacks {error}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError("it is no list of columns with name and datatype") from error
