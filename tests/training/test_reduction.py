"""An embedding reduced by PCA: fitted on training images, tested at the smaller dimension."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
import torch

import dmlbench
from dmlbench.combiners.fixed import EqualSum
from dmlbench.combiners.wedl_c import CompressedEnsemble
from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.training.reduction import ReducedByPca


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    return torch.tensor(mixed, dtype=torch.float32)


def test_the_embedding_is_projected_on_the_axes_of_most_variance():
    reduced, train, test = ReducedByPca(EqualSum(2), 2, [6]), rows(200), rows(9, seed=1)
    assert torch.equal(reduced.embed([test]), test)  # nothing is fitted yet
    reduced.fit(train)
    centred = train.double().numpy() - train.double().numpy().mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]  # (2, 6)
    expected = (test.double().numpy() - train.double().numpy().mean(0)) @ axes.T
    found = reduced.embed([test]).numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)
    again = ReducedByPca(EqualSum(2), 2, [6])
    again.fit(train[torch.randperm(200)])
    torch.testing.assert_close(again.embed([test]), reduced.embed([test]))


def test_a_reduced_combiner_trains_as_it_does_by_itself():
    torch.manual_seed(0)
    inner = CompressedEnsemble(2, 4, [4, 4])
    reduced = ReducedByPca(inner, 3, [4, 4])
    heads = [torch.nn.functional.normalize(rows(5, seed)[:, :4], dim=1) for seed in (0, 1)]
    losses = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(
        reduced.auxiliary_loss(heads), inner.auxiliary_loss(heads), rtol=0, atol=0
    )
    assert reduced(losses, heads) == inner.eval()(losses, heads)
    assert reduced.auxiliary is inner.auxiliary
    assert torch.equal(reduced.weights(), inner.weights())
    assert {id(p) for p in reduced.parameters()} == {id(p) for p in inner.parameters()}


@pytest.mark.parametrize("width", [6, 7, -1])
def test_a_width_that_is_no_reduction_is_refused(width):
    with pytest.raises(UsageError, match="below the dimension of the embedding, 6"):
        ReducedByPca(EqualSum(2), width, [6])


def test_a_reduced_row_is_tested_and_ranked_at_its_width(tiny, tmp_path):
    tiny["seeds"] = 1

    def trained(**overrides):
        settings = {f"recipe.{name}": value for name, value in overrides.items()}
        options = {**tiny, "overrides": {**tiny["overrides"], **settings}}
        (entry,) = dmlbench.run(["ms"], out=tmp_path, **options)
        (trial,) = entry.trials
        assert trial.status == "completed", trial.reason
        return entry, safetensors.numpy.load_file(tmp_path / trial.embeddings.path)["embeddings"]

    wide, embeddings = trained()
    reduced, projected = trained(pca_dim=3)
    narrow, _ = trained(embedding_dim=3)
    assert (reduced.embedding_dim, reduced.head_dims) == (3, [8])
    assert projected.shape == (len(embeddings), 3)
    # The same training, so that a linear map takes one to the other.
    with_ones = np.c_[embeddings, np.ones(len(embeddings))]
    fitted = with_ones @ np.linalg.lstsq(with_ones, projected, rcond=None)[0]
    np.testing.assert_allclose(fitted, projected, atol=1e-4)
    assert wide.trials[0].validation_map_at_r == reduced.trials[0].validation_map_at_r
    assert group_key(reduced) == group_key(narrow) != group_key(wide)
