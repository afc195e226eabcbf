"""The rows of a study: what a handling of suspects implies, its rule, and the network that places noise."""

import pytest

from tasks.studies.row_training import HANDLINGS, MATCHING_NETWORK, second_request
from tasks.studies.rows import StudyRow


@pytest.mark.parametrize(
    ("handling", "changes"),
    [
        ("none", {}),
        ("flip", {"keep": "last"}),
        ("unlabel", {"keep": "last"}),
        ("remove", {"keep": "last", "loss_lds": 0.0}),
        ("confident", {"keep": "last", "loss_lds": 0.0}),
    ],
)
def test_treated_suspects_keep_the_last_epoch_and_removed_ones_take_part_in_no_loss(
    handling: str, changes: dict[str, object]
) -> None:
    row = StudyRow.model_validate({"name": "a", "seed": 0, "handling": handling})
    assert second_request(row) == changes


def test_every_handling_has_a_rule_and_noise_is_placed_by_another_network() -> None:
    assert {handling: rule for handling, (rule, _) in HANDLINGS.items()} == {
        "none": "misclassified",
        "remove": "threshold",
        "unlabel": "threshold",
        "flip": "threshold",
        "confident": "confident",
    }
    assert all(network != other for network, other in MATCHING_NETWORK.items())
