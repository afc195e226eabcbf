"""Published accuracies on other data, shown beside a study's own, never compared with them.

Sources: Barchi et al. 2020 (Astron. Comput. 30, 100334), GoogLeNet, as the lecture slides of Nakakoji and Yoshida quote
it; the slides' own networks. Both are measured on images of SDSS, which no dataset here repeats.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedResult:
    """Accuracies (fractions) under one scheme.

    Attributes
    ----------
    barchi : float
    deck : dict
        By the slides' network.
    """

    barchi: float
    deck: dict[str, float]


PUBLISHED: dict[str, PublishedResult] = {
    "gz1-2class": PublishedResult(0.995, {"CNN (SGD)": 0.992, "CNN (Adam)": 0.993}),
    "deck-3": PublishedResult(0.827, {"Xception": 0.850, "ViT": 0.853}),
    "deck-7": PublishedResult(0.700, {"Xception": 0.738, "ViT": 0.742}),
    "deck-9": PublishedResult(0.674, {"Xception": 0.709, "ViT": 0.705}),
    "deck-11": PublishedResult(0.652, {"Xception": 0.715, "ViT": 0.713}),
}
"""By scheme. The two classes are those of Galaxy Zoo 1: `gz2-2class` is another question and has no published row."""
