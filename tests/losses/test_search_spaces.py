"""The search spaces hold what is known to be good, and what a loss starts with."""

import itertools

import pytest
import torch

from dmlbench import load_loss
from dmlbench.losses import LOSSES
from dmlbench.plan.conditions import choices_of, condition_of, is_tried

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
    choices = choices_of(space)
    return value in choices if choices else space["low"] <= value <= space["high"]


def ends(space):
    """Every choice, or the ends of a range."""
    return choices_of(space) or [space["low"], space["high"]]


@pytest.mark.parametrize("loss, parameter, values", PUBLISHED)
def test_published_optima_can_be_found(loss, parameter, values):
    assert [value for value in values if not holds(SPACES[loss][parameter], value)] == []


@pytest.mark.parametrize("loss, parameter", OPTIONS)
def test_mining_and_learned_options_are_tried(loss, parameter):
    assert len(choices_of(SPACES[loss][parameter])) > 1


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
    for name, space in spec.search.items():
        for value in ends(space):
            load_loss(spec.name, num_classes=4, embedding_dim=8, **{name: value})


def batches():
    """Embeddings (B, D) and labels (B,): classes that are apart, and some that overlap."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(24) % 4
    centres = torch.randn(4, 8, generator=generator)
    for noise in (0.1, 0.4, 1.0):
        yield centres[labels] + noise * torch.randn(24, 8, generator=generator), labels


BATCHES = list(batches())


def behaviour(spec, params):
    """What training sees of a loss: its input and learning rate, values and gradients."""
    torch.manual_seed(0)
    loss = load_loss(spec.name, num_classes=4, embedding_dim=8, **params)
    out = [repr(getattr(loss, name, None)) for name in ("takes", "learning_rate")]
    # A memory starts between two of the steps that are tried, and fills.
    for steps, count in {150: 3, 5000: 22}.items() if hasattr(loss, "steps") else [(0, 3)]:
        if steps:
            loss.steps.fill_(steps)
        for embeddings, labels in itertools.islice(itertools.cycle(BATCHES), count):
            leaf = embeddings.clone().requires_grad_()
            loss.zero_grad()
            value = loss(leaf, labels)
            value.backward()
            parts = [value.detach(), leaf.grad, *(p.grad for p in loss.parameters())]
            out += [part.numpy().tobytes() for part in parts if part is not None]
    return out


def surroundings(spec, name):
    """Values of the other parameters: the switches in all combinations, the ranges at each end."""
    switches, ranges = {}, {}
    for other, space in spec.search.items():
        if other != name:
            switch = choices_of(space) is not None and spec.name != "cross-batch-memory"
            (switches if switch else ranges)[other] = ends(space)
    if "loss" in ranges:
        switches["loss"] = ranges.pop("loss")
    for chosen in itertools.product(*switches.values()):
        levels = [{}, *({key: some[at] for key, some in ranges.items()} for at in (0, -1))]
        yield dict(zip(switches, chosen, strict=True)), levels


@pytest.mark.parametrize(
    "spec, name",
    [(spec, name) for spec in LOSSES for name in spec.search],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_what_is_searched_has_an_effect_just_where_it_is_tried(spec, name):
    """Or trials of a budget would be spent on one and the same training."""
    space = spec.search[name]
    for chosen, levels in surroundings(spec, name):
        tried = is_tried(spec.search, name, {**spec.defaults, **chosen})
        effect = any(
            any(one != other for one, other in itertools.pairwise(behaviours))
            for behaviours in (
                (behaviour(spec, {**level, **chosen, name: value}) for value in ends(space))
                for level in levels
            )
        )
        assert effect == tried, f"beside {chosen}"


@pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
def test_conditions_name_what_is_searched(spec):
    for space in spec.search.values():
        assert condition_of(space).keys() <= {*spec.search, "params"}


def test_a_memory_wraps_what_its_spec_says():
    from dmlbench.losses.cross_batch_memory import WRAPPABLE

    (spec,) = (spec for spec in LOSSES if spec.wraps)
    assert [inner.name for inner in spec.wraps] == list(WRAPPABLE)
    for inner in spec.wraps:
        load_loss(spec.name, num_classes=4, embedding_dim=8, loss=inner.name, params=inner.defaults)
        assert (
            inner.target == f"{WRAPPABLE[inner.name].__module__}:{WRAPPABLE[inner.name].__name__}"
        )
