"""What holds for every built-in loss, new ones included, on the batches that break losses."""

import importlib
import warnings

import numpy as np
import pytest
import torch
from every_loss import EVERY, LABELS, D, batch, build

EACH = pytest.mark.parametrize("name", EVERY)
WITH_CLASSES = [
    name
    for name, (spec, parameters) in EVERY.items()
    if spec.family in ("proxy", "classification")
    or (spec.name == "margin" and parameters.get("class_beta", True))
]
CLASSLESS = [name for name in EVERY if name not in WITH_CLASSES]


def value_and_gradient(loss, embeddings, labels):
    leaf = embeddings.clone().requires_grad_()
    value = loss(leaf, labels)
    value.backward()
    return value.detach(), leaf.grad


@pytest.mark.parametrize("case", LABELS)
@EACH
def test_an_embedding_that_is_no_number_makes_the_loss_nan(name, case):
    """Neither an error of some operation within nor a number: training has diverged."""
    for bad, place, dtype in [
        (torch.nan, (0, 0), torch.float32),
        (torch.nan, (-1, 5), torch.bfloat16),
        (torch.inf, (-1, 5), torch.float32),
        (-torch.inf, (0, 0), torch.float64),
    ]:
        embeddings, labels = batch(case, dtype)
        embeddings[place] = bad
        assert build(name)(embeddings, labels).isnan(), (bad, place)
        leaf = embeddings.requires_grad_()
        assert build(name)(leaf, labels).isnan(), (bad, place)


@pytest.mark.parametrize("case", [*LABELS, "duplicates", "all equal"])
@EACH
def test_precisions_agree(name, case):
    """float64 keeps its precision, and bfloat16 is computed in float32."""
    coincide = case in ("duplicates", "all equal")
    embeddings, labels = batch("unequal classes" if coincide else case, torch.bfloat16)
    if case == "all equal":
        embeddings[:] = embeddings[0]
    elif case == "duplicates":  # within classes and across them
        embeddings[1::2] = embeddings[::2]
    value, gradient = value_and_gradient(build(name), embeddings.float(), labels)
    assert value.dtype == gradient.dtype == torch.float32
    assert value.isfinite() and gradient.isfinite().all()

    rough, rough_gradient = value_and_gradient(build(name), embeddings, labels)
    assert rough.dtype == torch.float32 and rough_gradient.dtype == torch.bfloat16
    torch.testing.assert_close(rough, value)
    torch.testing.assert_close(rough_gradient, gradient.bfloat16(), rtol=0.01, atol=1e-6)

    exact, exact_gradient = value_and_gradient(build(name).double(), embeddings.double(), labels)
    assert exact.dtype == exact_gradient.dtype == torch.float64
    torch.testing.assert_close(exact.float(), value, rtol=1e-4, atol=1e-5)
    # Where items coincide, which of two equal distances is the smaller is up to rounding.
    if not coincide:
        scale = exact_gradient.abs().max().clamp_min(1)
        difference = (exact_gradient - gradient.double()).abs().max()
        assert difference <= 1e-4 * scale


@pytest.mark.parametrize("name", CLASSLESS)
def test_labels_from_2_to_the_24_up_stay_apart(name):
    """Neighbours there are one number in float32."""
    embeddings, labels = batch("unequal classes")
    value, gradient = value_and_gradient(build(name), embeddings, labels)
    for start in (2**24, 2**53, -(2**62)):
        also, slope = value_and_gradient(build(name), embeddings, labels + start)
        assert also == value and torch.equal(slope, gradient), start


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_a_label_of_2_to_the_24_is_named_exactly(name):
    embeddings, labels = batch("unequal classes")
    labels = labels.clone()
    labels[-1] = 2**24 + 1
    with pytest.raises(ValueError, match="16777217"):
        build(name)(embeddings, labels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
@EACH
def test_labels_may_be_any_whole_numbers(name, dtype):
    embeddings, labels = batch("unequal classes")
    loss, also = build(name), build(name)
    for _ in range(2):  # a memory is filled by the first batch
        assert also(embeddings, labels.to(dtype)) == loss(embeddings, labels)


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.zeros(2, D), np.zeros(2, dtype=np.int64), "labels are of type ndarray"),
        (torch.zeros(2, D), [0, 1], "labels are of type list"),
        (np.zeros((2, D)), torch.zeros(2, dtype=torch.int64), "embeddings are of type ndarray"),
    ],
)
@EACH
def test_anything_but_tensors_is_refused_with_the_way_out(name, embeddings, labels, message):
    with pytest.raises(ValueError, match=rf"'{EVERY[name][0].name}': {message}.*torch\.as_tensor"):
        build(name)(embeddings, labels)


@pytest.mark.parametrize("digits", [400, 6000])
def test_a_number_of_many_digits_is_refused_without_writing_it_out(digits):
    huge = 10 ** (digits - 1)
    for loss, name in [("triplet", "margin"), ("fastap", "num_bins"), ("margin", "mining")]:
        with pytest.raises(ValueError, match=f"{name} is an integer of about {digits:,} digits"):
            spec = next(spec for spec, _ in EVERY.values() if spec.name == loss)
            module, _, attribute = spec.target.partition(":")
            getattr(importlib.import_module(module), attribute)(**{name: huge})


@pytest.fixture
def every_warning():
    """Warnings are errors, also those that PyTorch gives once a process."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    torch.set_warn_always(before)


@EACH
def test_no_warning_is_given_for_any_layout(name, every_warning):
    embeddings, labels = batch("unequal classes")
    strided = embeddings.T.contiguous().T, torch.stack([labels, labels], 1)[:, 0]
    for given in (embeddings, labels), strided:
        value_and_gradient(build(name), *given)
