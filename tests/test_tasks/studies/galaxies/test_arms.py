"""Arms as users write them."""

import pytest

from tasks.galaxies.methods import TrainingMethods
from tasks.studies.galaxies.arms import DEFAULT_ARMS, ArmError, TrainingArm, choose_arms, parse_arms


def test_words_are_network_preset_and_weights():
    arms = parse_arms(["cnn", "xception-small:deck", "vit:deck:models:/galaxy-deck-11/3"])
    assert [(arm.network, arm.preset, arm.weights) for arm in arms] == [
        ("cnn", "tuned", "none"),
        ("xception-small", "deck", "none"),
        ("vit", "deck", "models:/galaxy-deck-11/3"),
    ]
    assert [arm.name for arm in arms] == ["cnn tuned", "xception-small deck", "vit deck models:/galaxy-deck-11/3"]


def test_an_object_has_the_fields_of_an_arm_and_is_named_by_them():
    arms = parse_arms(
        [
            {"network": "cnn", "methods": {"label_smoothing": 0.1, "mirror": False}, "optimizer": "sgd"},
            {"name": "ours", "network": "efficientnet-lite0", "weights": "imagenet", "fitting": "head"},
            {"network": "efficientnet-lite0", "weights": "imagenet", "fitting": "head"},
        ]
    )
    assert arms[0].methods == TrainingMethods(label_smoothing=0.1, mirror=False)
    assert [arm.name for arm in arms] == [
        "cnn tuned sgd label_smoothing=0.1 mirror=False",
        "ours",
        "efficientnet-lite0 tuned imagenet head only",
    ]


@pytest.mark.parametrize("arm", [arm.model_dump() for arm in parse_arms(["cnn:deck", "vit-small"])])
def test_an_arm_survives_its_own_fields(arm):
    assert parse_arms([arm]) == [TrainingArm(**arm)]


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ([], "arms is empty"),
        (["cnn:deck", "cnn:deck"], "'cnn deck' more than once"),
        (["resnet:tuned"], "'resnet:tuned'.*network"),
        (["cnn:best"], "'cnn:best'.*preset"),
        ([{"network": "cnn", "rate": 1}], "rate"),
        ([{"methods": {"mixup": 0.2}}], "methods.*mixup"),
    ],
)
def test_a_wrong_arm_is_named(arms, said):
    with pytest.raises(ArmError, match=said):
        parse_arms(arms)


def test_networks_with_one_preset_and_one_start_are_arms_too():
    assert choose_arms(None) == parse_arms(DEFAULT_ARMS)
    assert choose_arms(["vit"]) == parse_arms(["vit:tuned"])
    chosen = choose_arms(None, networks=["xception", "vit"], preset="deck", weights="imagenet")
    assert chosen == parse_arms(["xception:deck:imagenet", "vit:deck:imagenet"])
    assert choose_arms(None, preset="deck") == parse_arms(["cnn:deck"])
    with pytest.raises(ArmError, match="weights=imagenet and arms are given"):
        choose_arms(["vit"], weights="imagenet")
