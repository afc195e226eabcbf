"""Published accuracies on other data, shown beside a study's own, never compared with them.

Sources: Barchi et al. 2020 (Astron. Comput. 30, 100334), GoogLeNet, as the lecture slides of Nakakoji and Yoshida quote
it; the slides' own networks. Both are measured on images of SDSS, which no dataset here repeats.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedResult:
    """Accuracies in per cent under one scheme, as they are printed.

    Attributes
    ----------
    barchi : str
    deck : str
        Of Xception and of ViT; of two classes the CNN's by SGD and by Adam.
    """

    barchi: str
    deck: str


PUBLISHED: dict[str, PublishedResult] = {
    "gz1-2class": PublishedResult("99.5", "CNN 99.2 / 99.3"),
    "deck-3": PublishedResult("82.7", "85.0 / 85.3"),
    "deck-7": PublishedResult("70.0", "73.8 / 74.2"),
    "deck-9": PublishedResult("67.4", "70.9 / 70.5"),
    "deck-11": PublishedResult("65.2", "71.5 / 71.3"),
}
"""By scheme. The two classes are those of Galaxy Zoo 1: `gz2-2class` is another question and has no published row."""
