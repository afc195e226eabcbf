"""The error of a table whose columns or values cannot become a catalogue."""


class CatalogueError(ValueError):
    """A table cannot become a catalogue; the message names the table, the column and the remedy."""
