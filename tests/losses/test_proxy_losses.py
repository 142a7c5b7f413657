"""Losses with learned class vectors, against pytorch-metric-learning or a plain formula."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch.nn import functional
from words import refused

from dmlbench.losses.arcface import ArcFaceLoss
from dmlbench.losses.cosface import CosFaceLoss
from dmlbench.losses.cross_entropy import CrossEntropyLoss
from dmlbench.losses.norm_softmax import NormSoftmaxLoss
from dmlbench.losses.proxy_anchor import ProxyAnchorLoss
from dmlbench.losses.proxy_nca import ProxyNCALoss
from dmlbench.losses.soft_triple import SoftTripleLoss
from dmlbench.losses.subcenter_arcface import SubCenterArcFaceLoss

B, D, C = 24, 10, 7


def as_columns(proxies):
    """(C, D) -> (D, C)."""
    return proxies.T


def as_grouped_columns(proxies):
    """(K, C, D) -> (D, C * K), the K of a class side by side."""
    return proxies.permute(2, 1, 0).flatten(1)


def as_they_are(proxies):
    return proxies


# name: ours, theirs, parameters of ours, of theirs, their weights, and ours in their layout
AGAINST_PML = {
    "proxy-anchor": (ProxyAnchorLoss, pml.ProxyAnchorLoss, {}, {}, "proxies", as_they_are),
    "proxy-anchor, other parameters": (
        ProxyAnchorLoss,
        pml.ProxyAnchorLoss,
        {"margin": 0.3, "alpha": 8.0},
        {"margin": 0.3, "alpha": 8.0},
        "proxies",
        as_they_are,
    ),
    "proxy-nca": (ProxyNCALoss, pml.ProxyNCALoss, {}, {}, "proxies", as_they_are),
    "proxy-nca, scale 7": (
        ProxyNCALoss,
        pml.ProxyNCALoss,
        {"softmax_scale": 7.0},
        {"softmax_scale": 7.0},
        "proxies",
        as_they_are,
    ),
    "norm-softmax": (NormSoftmaxLoss, pml.NormalizedSoftmaxLoss, {}, {}, "W", as_columns),
    "norm-softmax, temperature 0.5": (
        NormSoftmaxLoss,
        pml.NormalizedSoftmaxLoss,
        {"temperature": 0.5},
        {"temperature": 0.5},
        "W",
        as_columns,
    ),
    "cosface": (CosFaceLoss, pml.CosFaceLoss, {}, {}, "W", as_columns),
    "cosface, other parameters": (
        CosFaceLoss,
        pml.CosFaceLoss,
        {"margin": 0.1, "scale": 10.0},
        {"margin": 0.1, "scale": 10.0},
        "W",
        as_columns,
    ),
    "arcface": (ArcFaceLoss, pml.ArcFaceLoss, {}, {}, "W", as_columns),
    # A margin this wide sends most items past 180 degrees, onto the other branch.
    "arcface, margin 100 degrees": (
        ArcFaceLoss,
        pml.ArcFaceLoss,
        {"margin_degrees": 100.0, "scale": 10.0},
        {"margin": 100.0, "scale": 10.0},
        "W",
        as_columns,
    ),
    "subcenter-arcface": (
        SubCenterArcFaceLoss,
        pml.SubCenterArcFaceLoss,
        {},
        {},
        "W",
        as_grouped_columns,
    ),
    "subcenter-arcface, 5 sub-centres": (
        SubCenterArcFaceLoss,
        pml.SubCenterArcFaceLoss,
        {"sub_centers": 5, "margin_degrees": 10.0, "scale": 10.0},
        {"sub_centers": 5, "margin": 10.0, "scale": 10.0},
        "W",
        as_grouped_columns,
    ),
    "soft-triple": (
        SoftTripleLoss,
        pml.SoftTripleLoss,
        {"tau": 0},
        {},
        "fc",
        as_grouped_columns,
    ),
    "soft-triple, other parameters": (
        SoftTripleLoss,
        pml.SoftTripleLoss,
        {"centers_per_class": 2, "scale": 5.0, "gamma": 0.5, "margin": 0.3, "tau": 0},
        {"centers_per_class": 2, "la": 5.0, "gamma": 0.5, "margin": 0.3},
        "fc",
        as_grouped_columns,
    ),
}
LOSSES = {
    "proxy-anchor": ProxyAnchorLoss,
    "proxy-nca": ProxyNCALoss,
    "norm-softmax": NormSoftmaxLoss,
    "cross-entropy": CrossEntropyLoss,
    "cosface": CosFaceLoss,
    "arcface": ArcFaceLoss,
    "subcenter-arcface": SubCenterArcFaceLoss,
    "soft-triple": SoftTripleLoss,
}
BAD_PARAMETERS = [
    ("proxy-anchor", "margin", -0.1, "at least 0"),
    ("proxy-anchor", "margin", "wide", "finite number"),
    ("proxy-anchor", "alpha", 0, "above 0"),
    ("proxy-anchor", "alpha", math.inf, "finite number"),
    ("proxy-nca", "softmax_scale", 0.0, "above 0"),
    ("proxy-nca", "smoothing", 1.0, "at least 0 and below 1"),
    ("proxy-nca", "smoothing", -0.1, "at least 0 and below 1"),
    ("norm-softmax", "temperature", 0, "above 0"),
    ("norm-softmax", "temperature", math.nan, "finite number"),
    ("cross-entropy", "smoothing", 1.5, "at least 0 and below 1"),
    ("cross-entropy", "smoothing", True, "finite number"),
    ("cosface", "margin", -0.35, "at least 0"),
    ("cosface", "scale", 0, "above 0"),
    ("arcface", "margin_degrees", 180.0, "at least 0 and below 180"),
    ("arcface", "scale", "64", "finite number"),
    ("subcenter-arcface", "margin_degrees", -1, "at least 0 and below 180"),
    ("subcenter-arcface", "scale", None, "finite number"),
    ("subcenter-arcface", "sub_centers", 0, "whole number of at least 1"),
    ("soft-triple", "centers_per_class", 2.0, "whole number of at least 1"),
    ("soft-triple", "tau", -0.2, "at least 0"),
    ("cross-entropy", "on", "logits", "'features'"),
    ("soft-triple", "scale", -1, "above 0"),
    ("soft-triple", "gamma", 0, "above 0"),
    ("soft-triple", "margin", -0.01, "at least 0"),
]


def batch(case: str, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw embeddings (B, D) of any length, with labels that leave class C - 1 out."""
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(B, D, generator=generator, dtype=torch.float64) * 3
    labels = torch.arange(B) % (C - 1)
    if case == "unequal classes":
        labels = torch.tensor([0] * 11 + [1] * 6 + [2] * 3 + [4] * 2 + [5] + [3])
    elif case == "duplicates":
        embeddings[6:18] = embeddings[:6].repeat(2, 1)
    elif case == "one class":
        labels = torch.full((B,), 2)
    elif case == "one item":
        embeddings, labels = embeddings[:1], labels[:1]
    elif case == "two items":
        embeddings, labels = embeddings[:2], labels[:2]
    elif case == "all equal":
        embeddings[:] = embeddings[0]
    else:
        assert case == "equal classes"
    return embeddings.to(dtype), labels


CASES = ["equal classes", "unequal classes", "duplicates", "one class", "one item", "two items"]
CASES += ["all equal"]


def value_and_gradients(loss, embeddings, labels, autocast=False):
    embeddings = embeddings.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(embeddings, labels)
    value.backward()
    return value.detach(), embeddings.grad


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["f64", "f32"]
)
@pytest.mark.parametrize("name", AGAINST_PML)
def test_value_and_gradients_equal_those_of_pml(name, dtype, tolerance, case):
    ours_class, theirs_class, our_parameters, their_parameters, weights, layout = AGAINST_PML[name]
    torch.manual_seed(0)
    ours = ours_class(C, D, **our_parameters).to(dtype)
    theirs = theirs_class(num_classes=C, embedding_size=D, **their_parameters).to(dtype)
    their_weights = getattr(theirs, weights)
    with torch.no_grad():
        their_weights.copy_(layout(ours.proxies))
    embeddings, labels = batch(case, dtype)
    value, gradient = value_and_gradients(ours, embeddings, labels)
    expected, expected_gradient = value_and_gradients(theirs, embeddings, labels)
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(
        layout(ours.proxies.grad), their_weights.grad, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("case", CASES)
def test_smoothed_proxy_nca_equals_its_formula(case):
    torch.manual_seed(0)
    loss = ProxyNCALoss(C, D, softmax_scale=3.0, smoothing=0.1).double()
    embeddings, labels = batch(case)
    value, gradient = value_and_gradients(loss, embeddings, labels)

    # The published form: proxies stretched to length 3, squared distances, soft targets.
    inputs = embeddings.clone().requires_grad_()
    proxies = loss.proxies.detach().clone().requires_grad_()
    target = torch.full((len(labels), C), 0.1 / (C - 1), dtype=torch.float64)
    target[range(len(labels)), labels] = 0.9
    difference = (inputs / inputs.norm(dim=1, keepdim=True)).unsqueeze(1) - 3 * proxies / (
        proxies.norm(dim=1, keepdim=True)
    )
    expected = -(target * torch.log_softmax(-difference.pow(2).sum(2), dim=1)).sum(1).mean()
    expected.backward()
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, inputs.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss.proxies.grad, proxies.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.15, 0.9])
@pytest.mark.parametrize("case", CASES)
def test_cross_entropy_equals_its_formula(case, smoothing):
    torch.manual_seed(0)
    loss = CrossEntropyLoss(C, D, smoothing=smoothing).double()
    embeddings, labels = batch(case)
    value, gradient = value_and_gradients(loss, embeddings, labels)

    probability = torch.exp(embeddings @ loss.proxies.detach().T + loss.bias.detach())
    probability /= probability.sum(1, keepdim=True)
    target = torch.full((len(labels), C), smoothing / C, dtype=torch.float64)
    target[range(len(labels)), labels] += 1 - smoothing
    expected = -(target * probability.log()).sum(1).mean()
    error = (probability - target) / len(labels)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, error @ loss.proxies.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss.proxies.grad, error.T @ embeddings, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss.bias.grad, error.sum(0), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_equal_finite_differences(name):
    torch.manual_seed(1)
    loss = LOSSES[name](C, D).double()
    embeddings, labels = batch("unequal classes")
    parameters = dict(loss.named_parameters())

    def value(embeddings, *values):
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(loss, given, (embeddings, labels))

    inputs = (embeddings.requires_grad_(), *parameters.values())
    assert torch.autograd.gradcheck(value, inputs, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_one_class_in_all_is_finite(name):
    loss = LOSSES[name](1, D)
    value, gradient = value_and_gradients(loss, torch.randn(3, D), torch.zeros(3, dtype=torch.long))
    assert torch.isfinite(value) and torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
def test_empty_batch_is_finite(name):
    loss = LOSSES[name](C, D)
    value, gradient = value_and_gradients(loss, torch.randn(0, D), torch.zeros(0, dtype=torch.long))
    assert torch.isfinite(value) and gradient.shape == (0, D)


@pytest.mark.parametrize("name", LOSSES)
def test_zero_embedding_gives_finite_gradients(name):
    loss = LOSSES[name](C, D)
    embeddings, labels = batch("equal classes", torch.float32)
    embeddings[0] = 0
    value, gradient = value_and_gradients(loss, embeddings, labels)
    assert torch.isfinite(value)
    assert gradient.abs().max() < 1e3
    assert all(p.grad.abs().max() < 1e3 for p in loss.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_embedding_along_its_proxy_gives_finite_gradients(name):
    """The angle to the proxy is 0, where its cosine has rounding errors and its sine no slope."""
    loss = LOSSES[name](C, D)
    labels = torch.arange(C)
    embeddings = loss.proxies.detach().reshape(-1, C, D)[0] * 7
    value, gradient = value_and_gradients(loss, embeddings, labels)
    assert torch.isfinite(value) and torch.isfinite(gradient).all()
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_non_contiguous_embeddings(name):
    loss = LOSSES[name](C, D)
    embeddings, labels = batch("equal classes", torch.float32)
    strided = torch.stack([embeddings, embeddings], dim=2)[:, :, 0]
    assert not strided.is_contiguous()
    value, gradient = value_and_gradients(loss, embeddings, labels)
    also, also_gradient = value_and_gradients(loss, strided, labels)
    torch.testing.assert_close(also, value)
    torch.testing.assert_close(also_gradient, gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_autocast_keeps_full_precision(name):
    loss = LOSSES[name](C, D)
    embeddings, labels = batch("equal classes", torch.float32)
    value, gradient = value_and_gradients(loss, embeddings, labels)
    also, also_gradient = value_and_gradients(loss, embeddings, labels, autocast=True)
    rough, rough_gradient = value_and_gradients(loss, embeddings.bfloat16(), labels, autocast=True)
    assert also.dtype == rough.dtype == torch.float32
    assert rough_gradient.dtype == torch.bfloat16
    torch.testing.assert_close(also, value)
    torch.testing.assert_close(also_gradient, gradient)
    torch.testing.assert_close(rough, value, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", LOSSES)
def test_labels_may_be_any_whole_numbers(name):
    loss = LOSSES[name](C, D)
    embeddings, labels = batch("equal classes", torch.float32)
    assert loss(embeddings, labels.int()) == loss(embeddings, labels)


@pytest.mark.parametrize("name", LOSSES)
def test_float64_embeddings_meet_float32_proxies(name):
    loss = LOSSES[name](C, D)
    embeddings, labels = batch("equal classes")
    value, gradient = value_and_gradients(loss, embeddings, labels)
    assert value.dtype == gradient.dtype == torch.float64
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in loss.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_forward_leaves_inputs_and_random_state_alone(name):
    loss = LOSSES[name](C, D)
    embeddings, labels = batch("equal classes")
    before, labels_before = embeddings.clone(), labels.clone()
    state = torch.get_rng_state()
    loss(embeddings, labels)
    assert torch.equal(embeddings, before) and torch.equal(labels, labels_before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", LOSSES)
def test_state_dict_round_trip(name):
    embeddings, labels = batch("equal classes", torch.float32)
    loss, copy = LOSSES[name](C, D), LOSSES[name](C, D)
    assert loss(embeddings, labels) != copy(embeddings, labels)
    copy.load_state_dict(loss.state_dict())
    assert loss(embeddings, labels) == copy(embeddings, labels)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("label", [-1, C])
def test_label_out_of_range_is_named(name, label):
    embeddings, labels = batch("equal classes", torch.float32)
    labels[5] = label
    with pytest.raises(ValueError, match=rf"{name}.*labels range .*{label}.*\[0, {C}\)"):
        LOSSES[name](C, D)(embeddings, labels)


@pytest.mark.parametrize("name", LOSSES)
def test_batch_of_the_wrong_shape_is_named(name):
    loss = LOSSES[name](C, D)
    embeddings, labels = batch("equal classes", torch.float32)
    with pytest.raises(ValueError, match=rf"{name}.*embeddings .*\({B}, {D - 1}\).*, {D}\)"):
        loss(embeddings[:, 1:], labels)
    with pytest.raises(ValueError, match=rf"{name}.*labels .*\({B - 1},\).*\({B},\)"):
        loss(embeddings, labels[1:])


@pytest.mark.parametrize(("name", "parameter", "value", "allowed"), BAD_PARAMETERS)
def test_bad_parameter_is_named(name, parameter, value, allowed):
    with pytest.raises(ValueError) as error:
        LOSSES[name](C, D, **{parameter: value})
    message = str(error.value)
    assert f"{name!r}: {parameter} is {value!r}, but it must be" in message
    assert allowed in message


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("size", "value"), [("num_classes", 0), ("embedding_dim", 2.5)])
def test_bad_size_is_named(name, size, value):
    sizes = {"num_classes": C, "embedding_dim": D, size: value}
    with pytest.raises(ValueError, match=f"{name}.*{size} is {value}.*a whole number"):
        LOSSES[name](**sizes)


def test_one_class_alone_is_never_smoothed():
    loss = ProxyNCALoss(1, D, smoothing=0.1)
    value = loss(torch.randn(3, D), torch.zeros(3, dtype=torch.long))
    assert value == 0


def test_proxy_anchor_of_a_huge_scale_does_not_overflow():
    loss = ProxyAnchorLoss(C, D, alpha=1e4)
    value, gradient = value_and_gradients(loss, *batch("equal classes", torch.float32))
    assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_proxy_nca_keeps_an_item_of_vanishing_probability():
    """PML drops such an item from its mean, and with it the gradient that would mend it."""
    loss = ProxyNCALoss(2, 2, softmax_scale=100.0)
    with torch.no_grad():
        loss.proxies.copy_(torch.eye(2))
    value, gradient = value_and_gradients(loss, torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    torch.testing.assert_close(value, torch.tensor(200.0))
    assert functional.cosine_similarity(gradient, torch.tensor([[-1.0, 0.0]])) > 0.99


def test_soft_triple_pulls_the_centres_of_a_class_together():
    torch.manual_seed(0)
    loss = SoftTripleLoss(C, D, centers_per_class=4, tau=0.3).double()
    alone = SoftTripleLoss(C, D, centers_per_class=4, tau=0).double()
    alone.load_state_dict(loss.state_dict())
    embeddings, labels = torch.randn(B, D, dtype=torch.float64), torch.arange(B) % C
    value = loss(embeddings, labels) - alone(embeddings, labels)
    units = functional.normalize(loss.proxies.detach(), dim=-1)  # (K, C, D)
    between = torch.stack(
        [torch.pdist(units[:, one]).square().add(1e-5).sqrt().sum() for one in range(C)]
    )
    torch.testing.assert_close(value, 0.3 * between.sum() / (C * 4 * 3))
    classification = torch.autograd.grad(alone(embeddings, labels), alone.proxies)[0]
    gradient = torch.autograd.grad(loss(embeddings, labels), loss.proxies)[0] - classification
    leaf = loss.proxies.detach().requires_grad_()
    units = functional.normalize(leaf, dim=-1)
    apart = (2 + 1e-5 - 2 * torch.einsum("kcd,lcd->ckl", units, units)).sqrt()
    expected = torch.autograd.grad(0.3 * apart.triu(1).sum() / (C * 4 * 3), leaf)[0]
    torch.testing.assert_close(gradient, expected)
    loss.proxies.data[1] = loss.proxies.data[0]  # two centres in one place
    loss(embeddings, labels).backward()
    assert loss.proxies.grad.isfinite().all()
    assert SoftTripleLoss(C, D, centers_per_class=1)(embeddings, labels).isfinite()


def test_cross_entropy_on_features_is_as_wide_as_they_are():
    loss = CrossEntropyLoss(C, D, on="features", num_features=33)
    assert loss.takes == "features" and loss.proxies.shape == (C, 33)
    assert loss(torch.randn(B, 33), torch.arange(B) % C) > 0
    with pytest.raises(ValueError, match=r"must be \(batch, 33\)"):
        loss(torch.randn(B, D), torch.arange(B) % C)
    with refused(ValueError, "num_features", "'features'"):
        CrossEntropyLoss(C, D, on="features")
    takes = {on: CrossEntropyLoss(C, D, on=on).takes for on in ("embedding", "unnormalised")}
    assert takes == {"embedding": "embeddings", "unnormalised": "unnormalised"}
