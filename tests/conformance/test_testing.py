"""The conformance kit: every built-in passes it, and every way to break a loss is caught."""

import importlib
import random

import numpy as np
import pytest
import torch
from torch import nn
from words import refused

from dmlbench.losses import LOSSES
from dmlbench.losses.cross_batch_memory import CrossBatchMemoryLoss
from dmlbench.testing import LOSS_CHECKS, CheckResult, check_loss

EXPECTED = {
    "circle": {"finite-differences"},
    "cross-entropy": {"lengths"},
    "margin": {"batch-order"},
    "n-pairs": {"batch-order"},
}
NEEDS_CUDA = {"moves-to-cuda", "cuda-agrees-with-cpu"}


def outcomes(results):
    return {result.name: result.outcome for result in results}


def failures(factory, **options):
    return {r.name: r.reason for r in check_loss(factory, **options) if r.outcome == "failed"}


@pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
def test_built_in_loss_conforms(spec):
    module, _, name = spec.target.partition(":")
    factory = getattr(importlib.import_module(module), name)
    results = check_loss(factory)
    assert [r for r in results if r.outcome == "failed"] == []
    skipped = {r.name for r in results if r.outcome == "skipped"}
    cannot_run = set() if torch.cuda.is_available() else NEEDS_CUDA
    assert skipped == EXPECTED.get(spec.name, set()) | cannot_run


def test_a_memory_conforms_once_it_is_in_use():
    results = check_loss(CrossBatchMemoryLoss, params={"start": 0})
    assert [r for r in results if r.outcome == "failed"] == []
    assert outcomes(results)["finite-differences"] == "skipped"


class Good(nn.Module):
    """Pulls together what shares a class: the smallest loss that keeps the contract."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(()) + 0.5)

    def forward(self, embeddings, labels):
        units = nn.functional.normalize(embeddings.to(self.scale.dtype))
        same = (labels[:, None] == labels).to(units).fill_diagonal_(0)
        similarity = units @ units.T
        return (self.scale.square() * (1 - similarity).square() * same).sum() / len(labels) ** 2


class TwoValues(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels).repeat(2)


class Number(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels).item()


class Disconnected(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings.detach(), labels)


class NothingToLearn(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) * 0


class OrderMatters(Good):
    def forward(self, embeddings, labels):
        some = len(labels) // 2 + 1
        return super().forward(embeddings[:some], labels[:some])


class MeanOfPositives(Good):
    """NaN where there is no positive pair."""

    def forward(self, embeddings, labels):
        count = (labels[:, None] == labels).sum() - len(labels)
        return super().forward(embeddings, labels) / count * 9


class MeanOfNegatives(Good):
    """Infinite where there is no negative pair."""

    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) + 1 / (labels[:, None] != labels).sum()


class Distances(Good):
    """A square root has an infinite slope at 0."""

    def forward(self, embeddings, labels):
        squares = (embeddings[:, None] - embeddings).square().sum(2)
        off = torch.eye(len(labels), dtype=embeddings.dtype)
        return super().forward(embeddings, labels) + (squares + off).sqrt().sum() * 1e-9


class NeedsTwo(Good):
    def forward(self, embeddings, labels):
        nearest = (embeddings @ embeddings.T).topk(2).values[:, 1]
        return super().forward(embeddings, labels) + 0 * nearest.sum()


class NeedsThree(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) + 0 * (embeddings[0] + embeddings[2]).sum()


class Rounds(Good):
    """Works in half precision whatever it gets."""

    def forward(self, embeddings, labels):
        return super().forward(embeddings.to(torch.bfloat16), labels)


class Float32Only(Good):
    def forward(self, embeddings, labels):
        value = super().forward(embeddings, labels)
        return value + 0 * (embeddings @ torch.eye(embeddings.shape[1])).sum()


class UnderAutocast(Good):
    """The product is bfloat16 under autocast, and the buffer is not."""

    def forward(self, embeddings, labels):
        out = torch.zeros(len(labels), len(labels), dtype=torch.float64)
        out.index_add_(0, torch.arange(len(labels)), (embeddings @ embeddings.T).to(out.dtype))
        if (embeddings @ embeddings.T).dtype == torch.bfloat16:
            raise RuntimeError("Index put requires the source and destination dtypes match")
        return super().forward(embeddings, labels)


class Views(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings.view(-1).view(embeddings.shape), labels)


class WantsGradient(Good):
    def forward(self, embeddings, labels):
        value = super().forward(embeddings, labels)
        torch.autograd.grad(value, embeddings, retain_graph=True)
        return value


class WritesEmbeddings(Good):
    def forward(self, embeddings, labels):
        value = super().forward(embeddings, labels)
        embeddings.data.mul_(2)
        return value


class WritesLabels(Good):
    def forward(self, embeddings, labels):
        value = super().forward(embeddings, labels)
        labels += 1
        return value


class DrawsTorch(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) + 0 * torch.rand(())


class DrawsNumpy(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) + 0 * np.random.rand()


class DrawsRandom(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) + 0 * random.random()


class ForgetsState(Good):
    def __init__(self):
        super().__init__()
        self.factor = 1 + random.random()

    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) * self.factor


class PlainTensor(Good):
    def __init__(self):
        super().__init__()
        self.margins = [torch.ones(3)]


class CachesTensor(Good):
    def forward(self, embeddings, labels):
        self.last = {"batch": embeddings.detach()}
        return super().forward(embeddings, labels)


class StaysBehind(Good):
    def _apply(self, function, recurse=True):
        return self


class OverflowsOnLongOnes(Good):
    takes = "unnormalised"

    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) + embeddings.square().sum(1).exp().mean()


class NormalisesAllButShortOnes(Good):
    def forward(self, embeddings, labels):
        lengths = embeddings.norm(dim=1, keepdim=True)
        return Good.forward(self, embeddings, labels) + (0.5 - lengths).relu().sum()


class TakesLengthOne(Good):
    def forward(self, embeddings, labels):
        return super().forward(embeddings, labels) + embeddings.square().sum(1).exp().mean()


class HalfGradient(Good):
    def forward(self, embeddings, labels):
        value = super().forward(embeddings, labels)
        return value / 2 + value.detach() / 2


class Climbs(Good):
    def forward(self, embeddings, labels):
        value = super().forward(embeddings, labels)
        return 2 * value.detach() - value


BROKEN = [
    (TwoValues, "scalar", "shape (2,)"),
    (Number, "scalar", "float, not a tensor"),
    (Disconnected, "gradient", "not connected"),
    (NothingToLearn, "gradient", "0 on a batch"),
    (OrderMatters, "batch-order", "order of the batch"),
    (MeanOfPositives, "no-positives", "nan"),
    (MeanOfNegatives, "one-class", "inf"),
    (NeedsTwo, "one-item", "RuntimeError"),
    (NeedsThree, "two-items", "IndexError"),
    (Distances, "all-equal", "gradient on the embeddings is not finite"),
    (Rounds, "finite-differences", "off by"),
    (Float32Only, "float64", "RuntimeError"),
    (UnderAutocast, "bfloat16-autocast", "RuntimeError"),
    (OverflowsOnLongOnes, "lengths", "inf"),
    (NormalisesAllButShortOnes, "lengths", "the value at lengths from 0.1 to 30"),
    (Views, "non-contiguous", "RuntimeError"),
    (WantsGradient, "without-gradient", "RuntimeError"),
    (WritesEmbeddings, "inputs-unchanged", "embeddings were changed"),
    (WritesLabels, "inputs-unchanged", "labels were changed"),
    (DrawsTorch, "random-state", "state of torch moved"),
    (DrawsNumpy, "random-state", "state of numpy moved"),
    (DrawsRandom, "random-state", "state of random moved"),
    (PlainTensor, "moves-with-to", "margins is a tensor that is neither"),
    (CachesTensor, "moves-with-to", "last is a tensor that is neither"),
    (StaysBehind, "moves-with-to", "scale stays torch.float32"),
    (ForgetsState, "state-dict", "after load_state_dict"),
    (HalfGradient, "finite-differences", "finite differences"),
    (Climbs, "smoke-training", "20 steps"),
]


def test_good_loss_passes_every_check():
    assert failures(Good) == {}


@pytest.mark.parametrize(
    ("loss", "name", "reason"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_broken_loss_is_caught_by_the_check_of_that_name(loss, name, reason):
    found = failures(loss)
    assert name in found
    assert reason in found[name]


def test_a_loss_may_rely_on_the_length_of_its_input():
    (result,) = (r for r in check_loss(TakesLengthOne) if r.name == "lengths")
    assert result.outcome == "skipped" and "embeddings of length 1" in result.reason


def test_every_check_has_a_loss_that_it_catches():
    caught = {name for _, name, _ in BROKEN}
    # Where float32 embeddings come out as something else, torch itself refuses.
    assert {*LOSS_CHECKS} - caught == {"float32"} | NEEDS_CUDA


def test_results_name_every_check_in_order():
    results = check_loss(Good)
    assert [result.name for result in results] == [*LOSS_CHECKS]
    assert {result.outcome for result in results} <= {"passed", "failed", "skipped"}
    assert all(bool(result.reason) == (result.outcome != "passed") for result in results)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_cuda_its_checks_are_skipped_with_the_reason():
    results = {r.name: r for r in check_loss(Good)}
    for name in NEEDS_CUDA:
        assert results[name] == CheckResult(name, "skipped", "no CUDA device here")


def test_expected_failure_is_skipped_with_both_reasons():
    results = check_loss(HalfGradient, expected_failures={"finite-differences": "by design"})
    result = next(r for r in results if r.name == "finite-differences")
    assert result.outcome == "skipped"
    assert "by design" in result.reason and "off by" in result.reason


def test_expected_failures_are_those_that_the_loss_lists_unless_others_are_given():
    class Listed(HalfGradient):
        expected_failures = {"finite-differences": "by design"}

    assert failures(Listed) == {}
    assert "finite-differences" in failures(Listed, expected_failures={})


def test_expected_failure_that_passes_is_passed():
    results = outcomes(check_loss(Good, expected_failures={"scalar": "no reason"}))
    assert results["scalar"] == "passed"


def test_unknown_expected_failure_is_named_with_the_closest_check():
    with refused(ValueError, "'finite-difference'"):
        check_loss(Good, expected_failures={"finite-difference": "?"})


def test_loss_that_cannot_be_built_fails_with_the_reason():
    found = failures(Good, params={"margin": 1})
    assert "margin" in found["scalar"] and found["scalar"].startswith("TypeError")


def test_parameters_and_sizes_reach_the_loss():
    seen = []

    class Asks(Good):
        def __init__(self, embedding_dim, num_classes, margin):
            super().__init__()
            seen.append((num_classes, embedding_dim, margin))

    assert failures(Asks, params={"margin": 3}) == {}
    assert {*seen} == {(6, 16, 3)}


def test_checks_leave_the_global_random_states_alone():
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    before = torch.rand(()), random.random(), np.random.rand()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    check_loss(DrawsTorch)
    assert (torch.rand(()), random.random(), np.random.rand()) == before
