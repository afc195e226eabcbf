"""The nearest of the valid names to one that is not: for flows, parameters and choices."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_NAMED = 3


def nearest_names(word: str, names: Iterable[str]) -> list[str]:
    """Return the valid names that `word` may mean, the likeliest first, at most `MOST_NAMED`.

    Names that begin with the word, or hold it as one of their parts, go before those that are spelled alike.
    """
    asked = _plain(word)
    plain = {_plain(name): name for name in names}
    if not asked:
        return []
    begun = [key for key in plain if key.startswith(asked)]
    holding = [key for key in plain if f"-{asked}-" in f"-{key}-"]
    alike = get_close_matches(asked, plain, MOST_NAMED)
    return [plain[key] for key in dict.fromkeys([*begun, *holding, *alike])][:MOST_NAMED]


def suggestion(word: str, names: Iterable[str]) -> str:
    """Return a sentence that ends a message about a wrong name; empty if no valid one is near."""
    near = nearest_names(word, names)
    return f". Did you mean {' or '.join(near)}?" if near else ""


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")
