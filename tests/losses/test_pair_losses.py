"""Every pair and triplet loss against pytorch-metric-learning, and on the batches that break."""

import math

import pytest
import torch
from pytorch_metric_learning import distances, miners
from pytorch_metric_learning import losses as pml

from dmlbench.losses import pairs as pairs_module
from dmlbench.losses.angular import AngularLoss
from dmlbench.losses.binomial_deviance import BinomialDevianceLoss
from dmlbench.losses.circle import CircleLoss
from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.lifted_structure import LiftedStructureLoss
from dmlbench.losses.margin import MarginLoss
from dmlbench.losses.multi_similarity import MultiSimilarityLoss
from dmlbench.losses.n_pairs import NPairsLoss, first_two
from dmlbench.losses.nca import NCALoss
from dmlbench.losses.nt_xent import NTXentLoss
from dmlbench.losses.snr import SNRContrastiveLoss
from dmlbench.losses.supcon import SupConLoss
from dmlbench.losses.triplet import TripletLoss
from dmlbench.losses.tuplet_margin import TupletMarginLoss

# Up to 25 items PyTorch's cdist, under pytorch-metric-learning, is exact for duplicates.
B, D = 24, 10
ALL_TRIPLETS = {"mining": "all", "learn_beta": False, "class_beta": False}
RAW_DISTANCE = distances.LpDistance(normalize_embeddings=False)
RAW_PRODUCT = distances.DotProductSimilarity(normalize_embeddings=False)


def mined(loss, miner):
    return lambda embeddings, labels: loss(embeddings, labels, miner(embeddings, labels))


def triplets(margin, kind, **distance):
    distance = {"distance": distances.LpDistance(**distance)}
    return mined(
        pml.TripletMarginLoss(margin=margin, **distance),
        miners.TripletMarginMiner(margin, kind, **distance),
    )


def hardest(margin):
    return mined(pml.TripletMarginLoss(margin=margin), miners.BatchHardMiner())


def normalised(loss):
    """PML's angular loss leaves negatives as long as they come."""
    return lambda embeddings, labels: loss(torch.nn.functional.normalize(embeddings), labels)


AGAINST_PML = {
    "contrastive": (ContrastiveLoss(), pml.ContrastiveLoss()),
    "contrastive, other margins": (ContrastiveLoss(0.3, 1.5), pml.ContrastiveLoss(0.3, 1.5)),
    "triplet": (TripletLoss(), pml.TripletMarginLoss()),
    "triplet, margin 1": (TripletLoss(1.0), pml.TripletMarginLoss(1.0)),
    "triplet, margin 0": (TripletLoss(0), pml.TripletMarginLoss(0)),
    "triplet, squared": (
        TripletLoss(squared=True),
        pml.TripletMarginLoss(distance=distances.LpDistance(power=2)),
    ),
    "triplet, semi-hard": (TripletLoss(mining="semi-hard"), triplets(0.2, "semihard")),
    "triplet, semi-hard, squared": (
        TripletLoss(0.5, "semi-hard", True),
        triplets(0.5, "semihard", power=2),
    ),
    "triplet, mined semi-hard by 0.1, margin 1": (
        TripletLoss(1.0, "semi-hard", mining_margin=0.1),
        mined(pml.TripletMarginLoss(1.0), miners.TripletMarginMiner(0.1, "semihard")),
    ),
    "triplet, mined by 0, margin 0.3": (
        TripletLoss(0.3, mining_margin=0),
        mined(pml.TripletMarginLoss(0.3), miners.TripletMarginMiner(0, "all")),
    ),
    "triplet, mined by more than the margin": (
        TripletLoss(0.3, mining_margin=0.8),
        mined(pml.TripletMarginLoss(0.3), miners.TripletMarginMiner(0.8, "all")),
    ),
    "triplet, hard": (TripletLoss(mining="hard"), triplets(0.05, "hard")),
    "triplet, hard, margin 0": (TripletLoss(0, "hard"), triplets(0, "hard")),
    "triplet, batch-hard": (TripletLoss(mining="batch-hard"), hardest(0.05)),
    "triplet, batch-hard, margin 0": (TripletLoss(0, "batch-hard"), hardest(0)),
    "multi-similarity": (
        MultiSimilarityLoss(),
        mined(pml.MultiSimilarityLoss(), miners.MultiSimilarityMiner(0.1)),
    ),
    "multi-similarity, miner 0.3": (
        MultiSimilarityLoss(1.0, 10.0, 0.2, epsilon=0.3),
        mined(pml.MultiSimilarityLoss(1, 10, 0.2), miners.MultiSimilarityMiner(0.3)),
    ),
    "multi-similarity, no miner": (MultiSimilarityLoss(mining=False), pml.MultiSimilarityLoss()),
    "nt-xent": (NTXentLoss(), pml.NTXentLoss()),
    "nt-xent, temperature 0.5": (NTXentLoss(0.5), pml.NTXentLoss(0.5)),
    "supcon": (SupConLoss(), pml.SupConLoss()),
    "supcon, temperature 1": (SupConLoss(1.0), pml.SupConLoss(1.0)),
    "nca": (NCALoss(), pml.NCALoss()),
    "nca, scale 5": (NCALoss(5.0), pml.NCALoss(5.0)),
    "margin": (MarginLoss(**ALL_TRIPLETS), pml.MarginLoss()),
    "margin, beta 0.7": (MarginLoss(0.1, 0.7, **ALL_TRIPLETS), pml.MarginLoss(0.1, beta=0.7)),
    "circle": (CircleLoss(), pml.CircleLoss()),
    "circle, other parameters": (CircleLoss(0.25, 4.0), pml.CircleLoss(0.25, 4)),
    "snr": (SNRContrastiveLoss(), pml.SignalToNoiseRatioContrastiveLoss()),
    "snr, other margins": (
        SNRContrastiveLoss(0.5, 2.5),
        pml.SignalToNoiseRatioContrastiveLoss(pos_margin=0.5, neg_margin=2.5),
    ),
    "lifted-structure": (
        LiftedStructureLoss(),
        pml.GeneralizedLiftedStructureLoss(distance=RAW_DISTANCE),
    ),
    "lifted-structure, other margins": (
        LiftedStructureLoss(0.2, 2.5),
        pml.GeneralizedLiftedStructureLoss(0.2, 2.5, distance=RAW_DISTANCE),
    ),
    "lifted-structure, with a penalty": (
        LiftedStructureLoss(l2_weight=0.7),
        lambda embeddings, labels: (
            pml.GeneralizedLiftedStructureLoss(distance=RAW_DISTANCE)(embeddings, labels)
            + 0.7 * embeddings.norm(dim=1).mean() * (len(embeddings) > 1)
        ),
    ),
    "lifted-structure, scale 1": (
        LiftedStructureLoss(0.2, 2.5, scale=1.0),
        pml.GeneralizedLiftedStructureLoss(0.2, 2.5),
    ),
    "lifted-structure, scale 8": (
        LiftedStructureLoss(scale=8.0),
        lambda embeddings, labels: pml.GeneralizedLiftedStructureLoss(distance=RAW_DISTANCE)(
            8 * torch.nn.functional.normalize(embeddings), labels
        ),
    ),
    "n-pairs": (NPairsLoss(l2_weight=0.0), pml.NPairsLoss(distance=RAW_PRODUCT)),
    "n-pairs, scale 1": (NPairsLoss(scale=1.0), pml.NPairsLoss()),
    "n-pairs, scale 16": (
        NPairsLoss(scale=16.0),
        lambda embeddings, labels: pml.NPairsLoss(distance=RAW_PRODUCT)(
            4 * torch.nn.functional.normalize(embeddings), labels
        ),
    ),
    "angular": (AngularLoss(), normalised(pml.AngularLoss())),
    "angular, 55 degrees": (AngularLoss(55.0), normalised(pml.AngularLoss(55))),
    "tuplet-margin": (TupletMarginLoss(), pml.TupletMarginLoss()),
    "tuplet-margin, other parameters": (TupletMarginLoss(20.0, 8.0), pml.TupletMarginLoss(20, 8)),
}
OURS = {name: ours for name, (ours, _) in AGAINST_PML.items() if "," not in name}
OURS |= {
    "triplet, semi-hard": TripletLoss(mining="semi-hard"),
    "triplet, two margins": TripletLoss(1.0, "semi-hard", mining_margin=0.1),
    "triplet, hard": TripletLoss(mining="hard"),
    "triplet, batch-hard": TripletLoss(mining="batch-hard"),
    "angular, n-pairs": AngularLoss(n_pairs=True),
    "n-pairs": NPairsLoss(),
    "n-pairs, scale": NPairsLoss(scale=16.0),
    "lifted-structure, scale": LiftedStructureLoss(scale=8.0),
    "lifted-structure, penalty": LiftedStructureLoss(l2_weight=0.02),
    "binomial-deviance": BinomialDevianceLoss(),
    "margin, distance-weighted": MarginLoss(class_beta=False),
}


def batch(case: str, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw embeddings (B, D), around no centre of their own and of any length, and labels."""
    generator = torch.Generator().manual_seed(7)
    embeddings = torch.randn(B, D, generator=generator, dtype=torch.float64) * 2 + 0.7
    labels = torch.arange(B)[torch.randperm(B, generator=generator)] % 6
    if case == "unequal classes":
        labels = torch.tensor([5] * 9 + [-3] * 6 + [40] * 4 + [7] * 3 + [2**40] + [0])
        labels = labels[torch.randperm(B, generator=generator)]
    elif case == "duplicates":
        embeddings[12:] = embeddings[:12]  # within classes and across them
    elif case == "close":
        embeddings = embeddings[:1] + embeddings * 0.05
    elif case == "many":
        embeddings = torch.randn(90, D, generator=generator, dtype=torch.float64) + 0.5
        labels = torch.randint(0, 20, (90,), generator=generator)
    elif case == "no positives":
        labels = torch.arange(B)
    elif case == "one class":
        labels = torch.full((B,), 3)
    elif case == "one item":
        embeddings, labels = embeddings[:1], labels[:1]
    elif case == "a pair":
        embeddings, labels = embeddings[:2], torch.tensor([4, 4])
    elif case == "two singles":
        embeddings, labels = embeddings[:2], torch.tensor([4, 5])
    elif case == "all equal":
        embeddings[:] = embeddings[0]
    elif case == "zeros":
        embeddings[:4] = 0
    else:
        assert case == "equal classes"
    return embeddings.to(dtype), labels


NASTY = ["duplicates", "no positives", "one class", "one item", "a pair", "two singles"]
NASTY += ["all equal", "zeros"]


def value_and_gradient(loss, embeddings, labels, autocast=False):
    leaf = embeddings.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(leaf, labels)
    value.backward()
    return value.detach(), leaf.grad


PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["f64", "f32"]
)


@PRECISIONS
@pytest.mark.parametrize("case", ["equal classes", "unequal classes", "many", "close"])
@pytest.mark.parametrize("name", AGAINST_PML)
def test_value_and_gradient_equal_those_of_pml(name, case, dtype, tolerance):
    ours, theirs = AGAINST_PML[name]
    embeddings, labels = batch(case, dtype)
    value, gradient = value_and_gradient(ours, embeddings, labels)
    expected, expected_gradient = value_and_gradient(theirs, embeddings, labels)
    assert value.dtype == gradient.dtype == dtype and value.shape == ()
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    # Gradients of sharp losses are large: what counts is the distance to the largest entry.
    scale = max(1.0, expected_gradient.abs().max().item())
    torch.testing.assert_close(gradient / scale, expected_gradient / scale, rtol=0, atol=tolerance)


# Where pytorch-metric-learning is finite. Its tuplet margin is not on duplicates; its NCA is NaN
# without positives; its zero vectors of no length have gradients of 1e12.
FINITE = [
    (name, case)
    for name in AGAINST_PML
    for case in NASTY
    if case != "zeros"
    and not (name.startswith("tuplet") and case in ("duplicates", "all equal"))
    and not (name.startswith("nca") and case in ("no positives", "two singles"))
]


@pytest.mark.parametrize(("name", "case"), FINITE)
def test_nasty_batches_equal_those_of_pml(name, case):
    ours, theirs = AGAINST_PML[name]
    embeddings, labels = batch(case)
    value, gradient = value_and_gradient(ours, embeddings, labels)
    expected, expected_gradient = value_and_gradient(theirs, embeddings, labels)
    torch.testing.assert_close(value, expected.to(value), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-6)


# A zero vector is at distance 1 from all others: no margin may lie there.
UNTIED = ["contrastive, other margins", "triplet, margin 1", "multi-similarity", "nt-xent", "nca"]
UNTIED += ["nca, scale 5", "margin", "lifted-structure", "lifted-structure, scale 1", "angular"]
UNTIED += ["n-pairs", "n-pairs, scale 1", "circle", "supcon"]


@pytest.mark.parametrize("name", UNTIED)
def test_zero_embeddings_cost_what_they_cost_in_pml(name):
    ours, theirs = AGAINST_PML[name]
    embeddings, labels = batch("zeros")
    torch.testing.assert_close(ours(embeddings, labels), theirs(embeddings, labels))


@pytest.mark.parametrize("name", ["contrastive", "snr", "triplet", "margin", "lifted-structure"])
def test_scaled_copies_are_duplicates_despite_rounding(name):
    """A positive at a distance of rounding noise is neither counted nor moved about."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(50, 300, generator=generator, dtype=torch.float64)
    embeddings = torch.cat([embeddings, embeddings * 3.7])
    labels = torch.arange(50).repeat(2)
    value, gradient = value_and_gradient(OURS[name], embeddings.float(), labels)
    expected, expected_gradient = value_and_gradient(OURS[name], embeddings, labels)
    torch.testing.assert_close(value, expected.float())
    torch.testing.assert_close(gradient, expected_gradient.float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", NASTY)
@pytest.mark.parametrize("name", OURS)
def test_nasty_batches_give_finite_numbers(name, case, dtype):
    embeddings, labels = batch(case, dtype)
    value, gradient = value_and_gradient(OURS[name], embeddings, labels)
    assert value.isfinite() and value >= 0 and gradient.isfinite().all()
    assert gradient.dtype == dtype


@pytest.mark.parametrize("name", OURS)
def test_nothing_to_learn_is_exactly_zero(name):
    cases = ["one item"]
    if name.partition(",")[0] not in (
        "contrastive",
        "snr",
        "lifted-structure",
        "binomial-deviance",
    ):
        cases += ["no positives", "one class", "two singles", "a pair"]
    for case in cases:
        value, gradient = value_and_gradient(OURS[name], *batch(case))
        assert value == 0 and not gradient.any(), case


@pytest.mark.parametrize("name", OURS)
def test_an_empty_batch_is_zero(name):
    embeddings = torch.zeros(0, D, requires_grad=True)
    value = OURS[name](embeddings, torch.zeros(0, dtype=torch.int64))
    value.backward()
    assert value == 0


@pytest.mark.parametrize("name", [name for name in OURS if name != "circle"])
def test_gradient_equals_finite_differences(name):
    """Circle's is not its value's gradient: its weights are constants by definition."""
    embeddings, labels = batch("unequal classes")
    loss = OURS[name]

    def value(x):
        if "distance-weighted" in name:
            loss.draws.zero_()
        return loss(x, labels)

    torch.autograd.gradcheck(value, embeddings.requires_grad_(), eps=1e-7, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", OURS)
def test_neither_inputs_nor_the_random_state_change(name):
    embeddings, labels = batch("unequal classes")
    before, labels_before, state = embeddings.clone(), labels.clone(), torch.get_rng_state()
    value_and_gradient(OURS[name], embeddings, labels)
    assert torch.equal(embeddings, before) and torch.equal(labels, labels_before)
    assert torch.equal(torch.get_rng_state(), state)


def reset(loss):
    if hasattr(loss, "draws"):
        loss.draws.zero_()


@pytest.mark.parametrize("name", OURS)
def test_layout_of_the_input_does_not_matter(name):
    embeddings, labels = batch("unequal classes")
    wide = torch.zeros(2 * D, 2 * B, dtype=embeddings.dtype)
    wide[::2, ::2] = embeddings.T
    strided = wide.T[::2, ::2]
    assert not strided.is_contiguous()
    loss = OURS[name]
    reset(loss)
    expected = loss(embeddings, labels)
    leaf = wide.clone().requires_grad_()
    reset(loss)
    value = loss(leaf.T[::2, ::2], labels.repeat_interleave(2)[::2])
    value.backward()
    torch.testing.assert_close(value, expected)
    reset(loss)
    gradient = value_and_gradient(loss, embeddings, labels)[1]
    torch.testing.assert_close(leaf.grad.T[::2, ::2], gradient)


@pytest.mark.parametrize("name", OURS)
def test_autocast_changes_nothing(name):
    embeddings, labels = batch("unequal classes", torch.float32)
    loss = OURS[name]
    reset(loss)
    expected, expected_gradient = value_and_gradient(loss, embeddings, labels)
    reset(loss)
    value, gradient = value_and_gradient(loss, embeddings, labels, autocast=True)
    assert value == expected and torch.equal(gradient, expected_gradient)


@pytest.mark.parametrize("name", OURS)
def test_backward_within_autocast_changes_nothing(name):
    embeddings, labels = batch("unequal classes", torch.float32)
    loss = OURS[name]
    reset(loss)
    expected = value_and_gradient(loss, embeddings, labels)[1]
    leaf = embeddings.clone().requires_grad_()
    reset(loss)
    with torch.autocast("cpu", torch.bfloat16):
        loss(leaf, labels).backward()
    if "n-pairs" not in name:  # its backward is PyTorch's own
        torch.testing.assert_close(leaf.grad, expected)


@pytest.mark.parametrize("name", OURS)
def test_half_precision_is_widened(name):
    embeddings, labels = batch("unequal classes", torch.bfloat16)
    loss = OURS[name]
    reset(loss)
    value, gradient = value_and_gradient(loss, embeddings, labels)
    reset(loss)
    expected, expected_gradient = value_and_gradient(loss, embeddings.float(), labels)
    assert value == expected and torch.equal(gradient, expected_gradient.bfloat16())


@pytest.mark.parametrize("name", OURS)
def test_backward_twice_through_one_graph_gives_the_same(name):
    embeddings, labels = batch("unequal classes")
    leaf = embeddings.clone().requires_grad_()
    value = OURS[name](leaf, labels) * 3
    first = torch.autograd.grad(value, leaf, retain_graph=True)[0]
    second = torch.autograd.grad(value, leaf)[0]
    assert torch.equal(first, second)


@pytest.mark.parametrize("loss", [NPairsLoss, LiftedStructureLoss])
def test_what_has_no_scale_asks_for_embeddings_before_normalisation(loss):
    """On them a longer embedding costs another value; with a scale it costs the same."""
    embeddings, labels = batch("equal classes")
    assert loss().takes == "unnormalised" and loss(scale=8.0).takes == "embeddings"
    assert loss()(2 * embeddings, labels) != loss()(embeddings, labels)
    scaled = loss(scale=8.0)
    torch.testing.assert_close(scaled(2 * embeddings, labels), scaled(embeddings, labels))


def test_angular_beside_n_pairs_takes_one_pair_per_class():
    embeddings, labels = batch("unequal classes")
    loss = AngularLoss(45.0, n_pairs=True, weight=3.0, l2_weight=0.1)
    assert loss.takes == "unnormalised" and AngularLoss().takes == "embeddings"
    a, p = (
        torch.nn.functional.normalize(embeddings[items])
        for items in first_two(labels, labels.device)
    )
    costs = []
    for c in range(len(a)):  # tan 45° is 1
        others = [4 * (a[c] + p[c]) @ p[k] - 4 * a[c] @ p[c] for k in range(len(a)) if k != c]
        costs.append(torch.stack(others).exp().sum().add(1).log())
    expected = NPairsLoss(l2_weight=0.1)(embeddings, labels) + 3 * torch.stack(costs).mean()
    torch.testing.assert_close(loss(embeddings, labels), expected)


def test_n_pairs_penalises_squared_lengths_of_its_pairs_alone():
    embeddings, labels = batch("unequal classes")
    pairs = torch.cat(first_two(labels, labels.device))
    penalty = NPairsLoss(l2_weight=0.3)(embeddings, labels)
    penalty = penalty - NPairsLoss(l2_weight=0.0)(embeddings, labels)
    expected = 0.3 * 2 * embeddings[pairs].square().sum(1).mean()
    torch.testing.assert_close(penalty, expected)


def test_second_derivatives_are_refused():
    embeddings, labels = batch("equal classes")
    leaf, weight = embeddings.requires_grad_(), torch.ones((), requires_grad=True)
    value = ContrastiveLoss()(leaf, labels) * weight
    gradient = torch.autograd.grad(value, leaf, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_other_whole_number_labels_are_as_good():
    embeddings, labels = batch("equal classes")
    loss = ContrastiveLoss()
    assert loss(embeddings, labels.to(torch.uint8)) == loss(embeddings, labels)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.zeros(4), torch.zeros(4, dtype=torch.int64), "embeddings have shape"),
        (torch.zeros(4, 2, 1), torch.zeros(4, dtype=torch.int64), "embeddings have shape"),
        (torch.zeros(4, 2, dtype=torch.int64), torch.zeros(4, dtype=torch.int64), "embeddings"),
        (torch.zeros(4, 2), torch.zeros(3, dtype=torch.int64), r"must be \(4,\)"),
        (torch.zeros(4, 2), torch.zeros(4, 1, dtype=torch.int64), r"must be \(4,\)"),
        (torch.zeros(4, 2), torch.zeros(4), "whole numbers"),
        (torch.zeros(4, 2), torch.zeros(4, dtype=torch.bool), "whole numbers"),
    ],
)
def test_bad_batches_are_refused(name, embeddings, labels, message):
    with pytest.raises(ValueError, match=message) as error:
        OURS[name](embeddings, labels)
    assert OURS[name].name in str(error.value)


@pytest.mark.parametrize(
    ("loss", "parameters", "allowed"),
    [
        (ContrastiveLoss, {"pos_margin": -0.1}, "at least 0"),
        (ContrastiveLoss, {"neg_margin": math.nan}, "finite number"),
        (TripletLoss, {"margin": -1}, "at least 0"),
        (TripletLoss, {"margin": "wide"}, "finite number"),
        (TripletLoss, {"mining": "semihard"}, "'semi-hard'"),
        (TripletLoss, {"margin": 0, "mining": "semi-hard"}, "above 0"),
        (TripletLoss, {"mining_margin": 0, "mining": "semi-hard"}, "above 0"),
        (TripletLoss, {"squared": 1}, "true or false"),
        (TripletLoss, {"mining_margin": -0.1}, "at least 0"),
        (MultiSimilarityLoss, {"alpha": 0}, "above 0"),
        (MultiSimilarityLoss, {"beta": -50.0}, "above 0"),
        (MultiSimilarityLoss, {"base": math.inf}, "finite number"),
        (MultiSimilarityLoss, {"mining": "ms"}, "true or false"),
        (MultiSimilarityLoss, {"epsilon": -0.1}, "at least 0"),
        (BinomialDevianceLoss, {"alpha": 0}, "above 0"),
        (BinomialDevianceLoss, {"positive_alpha": 0}, "above 0"),
        (BinomialDevianceLoss, {"margin": None}, "finite number"),
        (NTXentLoss, {"temperature": 0}, "above 0"),
        (SupConLoss, {"temperature": -0.1}, "above 0"),
        (NCALoss, {"softmax_scale": 0}, "above 0"),
        (MarginLoss, {"margin": -0.2}, "at least 0"),
        (MarginLoss, {"beta": "1.2"}, "finite number"),
        (MarginLoss, {"nu": -1}, "at least 0"),
        (MarginLoss, {"learn_beta": "yes"}, "true or false"),
        (MarginLoss, {"class_beta": True}, "class_beta"),
        (MarginLoss, {"mining": "semi-hard"}, "'distance-weighted'"),
        (MarginLoss, {"cutoff": 0}, "above 0"),
        (MarginLoss, {"nonzero_loss_cutoff": 0}, "above 0"),
        (MarginLoss, {"seed": 1.5}, "whole number"),
        (CircleLoss, {"m": 1.1}, "at most 1"),
        (CircleLoss, {"gamma": 0}, "above 0"),
        (SNRContrastiveLoss, {"pos_margin": -1}, "at least 0"),
        (SNRContrastiveLoss, {"neg_margin": True}, "finite number"),
        (LiftedStructureLoss, {"neg_margin": math.inf}, "finite number"),
        (LiftedStructureLoss, {"pos_margin": []}, "finite number"),
        (LiftedStructureLoss, {"scale": 0}, "above 0"),
        (LiftedStructureLoss, {"l2_weight": -1}, "at least 0"),
        (NPairsLoss, {"scale": -1}, "above 0"),
        (NPairsLoss, {"l2_weight": "none"}, "finite number"),
        (AngularLoss, {"alpha_degrees": 90}, "below 90"),
        (AngularLoss, {"n_pairs": 1}, "true or false"),
        (AngularLoss, {"weight": -2}, "at least 0"),
        (TupletMarginLoss, {"margin_degrees": -1}, "at least 0"),
        (TupletMarginLoss, {"scale": 0}, "above 0"),
    ],
)
def test_bad_parameters_are_refused(loss, parameters, allowed):
    (name, value), *_ = parameters.items()
    with pytest.raises(ValueError, match=allowed) as error:
        loss(**parameters)
    message = str(error.value)
    assert loss.name in message and (name in message or "num_classes" in message)
    assert repr(value) in message or "None" in message


def test_angular_beside_n_pairs_needs_no_product_of_the_batch(monkeypatch):
    def refuse(_):
        raise AssertionError("B x B cosines that nothing reads")

    monkeypatch.setattr(pairs_module, "cosines", refuse)
    embeddings, labels = torch.randn(8, 4), torch.arange(8) % 4
    assert AngularLoss(n_pairs=True)(embeddings, labels) > 0
