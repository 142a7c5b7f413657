"""The search spaces hold what is known to be good, and what a loss starts with."""

import pytest

from dmlbench.losses import LOSSES

SPACES = {spec.name: spec.search for spec in LOSSES}
# Found by 50 Bayesian trials per loss: Musgrave, Belongie, Lim, A Metric Learning Reality Check,
# ECCV 2020 (arXiv 2003.08505), supplementary tables, over several datasets and widths. The scale
# of Proxy-NCA is that of Kim et al. (arXiv 2003.13911), the multi-similarity beta of 40 that of
# its authors' code, the triplet margin and its mining that of Zabihzadeh et al. (arXiv 2107.01130).
PUBLISHED = [
    ("soft-triple", "scale", (72.0, 78.0, 100.0)),
    ("soft-triple", "margin", (0.31, 0.70)),
    ("soft-triple", "tau", (0.0, 0.2)),
    ("multi-similarity", "alpha", (11.6, 16.0, 18.0)),
    ("multi-similarity", "beta", (40.0, 157.0)),
    ("multi-similarity", "epsilon", (0.42, 0.72)),
    ("cosface", "margin", (0.62,)),
    ("cosface", "scale", (161.0,)),
    ("nt-xent", "temperature", (0.0002, 0.009)),
    ("arcface", "scale", (220.0,)),
    ("fastap", "num_bins", (86,)),
    ("proxy-nca", "softmax_scale", (3.0, 32.0)),
    ("triplet", "margin", (1.0,)),
    ("triplet", "mining_margin", (0.1,)),
    ("n-pairs", "l2_weight", (0.02,)),
    ("lifted-structure", "l2_weight", (0.005,)),
    ("margin", "beta_lr", (0.0005, 0.1)),
    ("cross-batch-memory", "memory_size", (8192,)),
    ("cross-batch-memory", "start", (1000,)),
]
# Whether pairs are mined, and what may be learned beside the proxies.
OPTIONS = [
    ("triplet", "mining"),
    ("multi-similarity", "mining"),
    ("margin", "mining"),
    ("margin", "learn_beta"),
    ("margin", "class_beta"),
    ("cross-batch-memory", "loss"),
    ("soft-triple", "centers_per_class"),
    ("subcenter-arcface", "sub_centers"),
    ("angular", "n_pairs"),
]


def holds(space, value):
    if isinstance(space, list):
        return value in space
    return space["low"] <= value <= space["high"]


@pytest.mark.parametrize("loss, parameter, values", PUBLISHED)
def test_published_optima_can_be_found(loss, parameter, values):
    assert [value for value in values if not holds(SPACES[loss][parameter], value)] == []


@pytest.mark.parametrize("loss, parameter", OPTIONS)
def test_mining_and_learned_options_are_tried(loss, parameter):
    assert len(SPACES[loss][parameter]) > 1


@pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
def test_a_space_holds_the_default(spec):
    missing = [
        name
        for name, space in spec.search.items()
        if spec.defaults[name] is not None and not holds(space, spec.defaults[name])
    ]
    assert missing == []


@pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
def test_what_is_tried_can_be_built(spec):
    """The ends of every range, and every choice."""
    from dmlbench import load_loss

    for name, space in spec.search.items():
        for value in space if isinstance(space, list) else (space["low"], space["high"]):
            load_loss(spec.name, num_classes=4, embedding_dim=8, **{name: value})
