"""Losses over whole neighbour lists, against pytorch-metric-learning or loops over items."""

import math
import warnings

import pytest
import torch
from pytorch_metric_learning import losses as pml

from dmlbench.losses.fastap import FastAPLoss
from dmlbench.losses.histogram import HistogramLoss
from dmlbench.losses.recall_at_k_surrogate import RecallAtKSurrogateLoss
from dmlbench.losses.smooth_ap import SmoothAPLoss

LOSSES = {
    "fastap": FastAPLoss,
    "histogram": HistogramLoss,
    "smooth-ap": SmoothAPLoss,
    "recall-at-k-surrogate": RecallAtKSurrogateLoss,
}
BAD_PARAMETERS = [
    ("fastap", "num_bins", 0, "whole number of at least 1"),
    ("fastap", "num_bins", 2.5, "whole number of at least 1"),
    ("histogram", "num_bins", 1, "whole number of at least 2"),
    ("smooth-ap", "temperature", 0, "above 0"),
    ("smooth-ap", "temperature", math.nan, "finite number"),
    ("recall-at-k-surrogate", "ks", (), "whole numbers of at least 1"),
    ("recall-at-k-surrogate", "ks", "12", "whole numbers of at least 1"),
    ("recall-at-k-surrogate", "rank_temperature", 0, "above 0"),
    ("recall-at-k-surrogate", "similarity_temperature", -1, "above 0"),
]


def batch(case, dtype=torch.float64):
    """Raw embeddings (B, 9) of any length, and labels (B,) in no order."""
    generator = torch.Generator().manual_seed(5)
    labels = {
        "equal classes": torch.arange(24) % 6,
        "unequal classes": torch.tensor([3] * 9 + [0] * 6 + [7] * 3 + [4] * 2 + [5] * 2),
        "with singletons": torch.tensor([0] * 7 + [1] * 3 + [2, 3, 4, 5]),
        "duplicates": torch.arange(24) % 6,
        "all equal": torch.arange(24) % 6,
        "one class": torch.full((10,), 2),
        "no positives": torch.arange(10),
        "one item": torch.tensor([3]),
        "two of a class": torch.tensor([3, 3]),
        "two classes of one": torch.tensor([3, 1]),
        "nothing": torch.arange(0),
    }[case]
    embeddings = torch.randn(len(labels), 9, generator=generator, dtype=torch.float64) * 2
    if case == "duplicates":
        embeddings[6:18] = embeddings[:6].repeat(2, 1)
    if case == "all equal":
        embeddings[:] = embeddings[0]
    order = torch.randperm(len(labels), generator=generator)
    return embeddings[order].to(dtype), labels[order]


def value_and_gradient(loss, embeddings, labels, autocast=False):
    embeddings = embeddings.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(embeddings, labels)
    value.backward()
    return value.detach(), embeddings.grad


def assert_same(loss, oracle, embeddings, labels, tolerance):
    value, gradient = value_and_gradient(loss, embeddings, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PML's histogram indexes with a list
        expected, expected_gradient = value_and_gradient(oracle, embeddings, labels)
    assert value.dtype == embeddings.dtype
    torch.testing.assert_close(value, expected.to(value.dtype), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance, atol=tolerance)


DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])


@DTYPES
@pytest.mark.parametrize("num_bins", [1, 4, 10, 30])
@pytest.mark.parametrize(
    "case", ["equal classes", "unequal classes", "with singletons", "duplicates", "one class"]
)
def test_fastap_equals_pml(case, num_bins, dtype):
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    assert_same(FastAPLoss(num_bins), pml.FastAPLoss(num_bins), *batch(case, dtype), tolerance)


@DTYPES
@pytest.mark.parametrize("num_bins", [5, 101])
@pytest.mark.parametrize("case", ["equal classes", "unequal classes", "with singletons"])
def test_histogram_equals_pml(case, num_bins, dtype):
    # PML keeps the histogram of float64 embeddings in single precision in part.
    oracle = pml.HistogramLoss(n_bins=num_bins - 1)
    assert_same(HistogramLoss(num_bins), oracle, *batch(case, dtype), 1e-5)


def test_histogram_counts_a_cosine_of_one():
    """Duplicates, on which PML's histogram runs out of its bins."""
    embeddings = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    same = HistogramLoss()(embeddings, torch.tensor([0, 0, 1, 1]))
    mixed = HistogramLoss()(embeddings, torch.tensor([0, 1, 0, 1]))
    assert same == 0
    # Positives all at cosine 0; half of the negatives at 1.
    torch.testing.assert_close(mixed, torch.tensor(1.0))


@DTYPES
@pytest.mark.parametrize("temperature", [0.01, 0.3])
def test_smooth_ap_equals_pml_where_pml_groups_by_class(temperature, dtype):
    """PML takes the class size for the number of classes: right only where they are the same."""
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(25, 9, generator=generator, dtype=dtype)
    labels = torch.arange(5).repeat_interleave(5)
    assert_same(SmoothAPLoss(temperature), pml.SmoothAPLoss(temperature), embeddings, labels, 1e-5)


def cosines(embeddings):
    units = embeddings / embeddings.norm(dim=1, keepdim=True)
    return units @ units.T


def smooth_ap_by_loops(temperature):
    def loss(embeddings, labels):
        s = cosines(embeddings)
        losses = []
        for i in range(len(labels)):
            members = [j for j in range(len(labels)) if labels[j] == labels[i]]
            if len(members) == 1:
                continue
            total = 0
            for j in members:
                before = torch.sigmoid((s[i] - s[i, j]) / temperature)
                in_class = 1 + sum(before[k] for k in members if k != j)
                in_all = 1 + sum(before[k] for k in range(len(labels)) if k != j)
                total = total + in_class / in_all
            losses.append(1 - total / len(members))
        return torch.stack(losses).mean()

    return loss


def recall_at_k_by_loops(ks, rank_temperature, similarity_temperature):
    def loss(embeddings, labels):
        s = cosines(embeddings)
        losses = []
        for i in range(len(labels)):
            others = [j for j in range(len(labels)) if j != i]
            positives = [j for j in others if labels[j] == labels[i]]
            if not positives:
                continue
            ranks = [
                1
                + 0 * s.sum()
                + sum(
                    torch.sigmoid((s[i, j] - s[i, p]) / similarity_temperature)
                    for j in others
                    if j != p
                )
                for p in positives
            ]
            for k in ks:
                found = sum(torch.sigmoid((k - rank) / rank_temperature) for rank in ranks)
                losses.append(1 - found / min(k, len(positives)))
        return torch.stack(losses).mean()

    return loss


ORACLE_CASES = ["equal classes", "unequal classes", "with singletons", "duplicates", "one class"]
ORACLE_CASES += ["all equal", "two of a class"]


@pytest.mark.parametrize("temperature", [0.01, 0.3])
@pytest.mark.parametrize("case", ORACLE_CASES)
def test_smooth_ap_equals_its_formula(case, temperature):
    oracle = smooth_ap_by_loops(temperature)
    assert_same(SmoothAPLoss(temperature), oracle, *batch(case), 1e-9)


@pytest.mark.parametrize(
    "parameters", [((1, 2, 4, 8, 16), 1.0, 0.01), ((3,), 0.5, 0.3)], ids=["defaults", "others"]
)
@pytest.mark.parametrize("case", ORACLE_CASES)
def test_recall_at_k_surrogate_equals_its_formula(case, parameters):
    oracle = recall_at_k_by_loops(*parameters)
    assert_same(RecallAtKSurrogateLoss(*parameters), oracle, *batch(case), 1e-9)


def test_recall_at_k_surrogate_nears_the_true_recall():
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    labels = torch.arange(12) % 4
    order = cosines(embeddings).fill_diagonal_(-2).argsort(1, descending=True)
    hits = labels[order[:, :3]] == labels[:, None]
    # A rank is whole and k + 1/2 between two: the sigmoid is then as good as a step.
    sharp = RecallAtKSurrogateLoss((3,), rank_temperature=1e-3, similarity_temperature=1e-6)
    steps = sharp(embeddings, labels)
    at_k = (cosines(embeddings).fill_diagonal_(-2).argsort(1, descending=True)[:, 2:3]).squeeze(1)
    on_the_edge = (labels[at_k] == labels).double()  # a rank of exactly k counts one half
    expected = 1 - ((hits.sum(1) - on_the_edge / 2) / 2).mean()
    torch.testing.assert_close(steps, expected)


@pytest.mark.parametrize("case", ["unequal classes", "with singletons", "one class"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_equals_finite_differences(name, case):
    embeddings, labels = batch(case)
    loss = LOSSES[name]()
    direction = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(1)).double()
    step = 1e-7  # short: the histograms' bins are narrow
    difference = loss(embeddings + step * direction, labels) - loss(
        embeddings - step * direction, labels
    )
    _, gradient = value_and_gradient(loss, embeddings, labels)
    slope = (gradient * direction).sum()
    torch.testing.assert_close(slope, difference / (2 * step), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", ["no positives", "one item", "two classes of one", "nothing"])
@pytest.mark.parametrize("name", LOSSES)
def test_nothing_to_learn_is_exactly_zero(name, case):
    value, gradient = value_and_gradient(LOSSES[name](), *batch(case, torch.float32))
    assert value == 0 and not gradient.any()


@pytest.mark.parametrize("case", ["one class", "two of a class", "all equal", "duplicates"])
@pytest.mark.parametrize("name", LOSSES)
def test_degenerate_batch_is_finite(name, case):
    value, gradient = value_and_gradient(LOSSES[name](), *batch(case, torch.float32))
    assert torch.isfinite(value) and torch.isfinite(gradient).all()
    assert -1e-6 <= value <= 1 + 1e-6


def test_histogram_needs_negatives():
    value, gradient = value_and_gradient(HistogramLoss(), *batch("one class"))
    assert value == 0 and not gradient.any()


@pytest.mark.parametrize("name", LOSSES)
def test_order_of_the_batch_does_not_matter(name):
    embeddings, labels = batch("unequal classes")
    value, gradient = value_and_gradient(LOSSES[name](), embeddings, labels)
    order = torch.arange(len(labels)).flip(0)
    also, also_gradient = value_and_gradient(LOSSES[name](), embeddings[order], labels[order])
    torch.testing.assert_close(also, value)
    torch.testing.assert_close(also_gradient[order], gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_non_contiguous_embeddings(name):
    embeddings, labels = batch("equal classes", torch.float32)
    strided = embeddings.T.contiguous().T
    assert not strided.is_contiguous()
    value, gradient = value_and_gradient(LOSSES[name](), embeddings, labels)
    also, also_gradient = value_and_gradient(LOSSES[name](), strided, labels)
    torch.testing.assert_close(also, value)
    torch.testing.assert_close(also_gradient, gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_autocast_keeps_full_precision(name):
    embeddings, labels = batch("equal classes", torch.float32)
    value, gradient = value_and_gradient(LOSSES[name](), embeddings, labels)
    also, also_gradient = value_and_gradient(LOSSES[name](), embeddings, labels, autocast=True)
    assert also.dtype == torch.float32
    torch.testing.assert_close(also, value)
    torch.testing.assert_close(also_gradient, gradient)
    rough, rough_gradient = value_and_gradient(
        LOSSES[name](), embeddings.bfloat16(), labels, autocast=True
    )
    assert rough.dtype == torch.float32 and rough_gradient.dtype == torch.bfloat16
    torch.testing.assert_close(rough, value, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", LOSSES)
def test_forward_leaves_inputs_and_random_state_alone(name):
    embeddings, labels = batch("equal classes")
    before, labels_before = embeddings.clone(), labels.clone()
    state = torch.get_rng_state()
    LOSSES[name]()(embeddings, labels)
    assert torch.equal(embeddings, before) and torch.equal(labels, labels_before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "parameter", "value", "allowed"), BAD_PARAMETERS)
def test_bad_parameter_is_named(name, parameter, value, allowed):
    with pytest.raises(ValueError) as error:
        LOSSES[name](**{parameter: value})
    message = str(error.value)
    assert name in message and parameter in message and allowed in message
    assert repr(value) in message
