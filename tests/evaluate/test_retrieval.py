"""Every metric against plain loops, on random data with whatever makes metrics go wrong.

What others get wrong, each case by its name, stands in `test_traps.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

KS = (1, 2, 4, 8, 30, 1000)  # up to deeper than any class and any gallery here


def require_equal(found, expected, num_given, ks=KS):
    """All scores of all queries, and their means, to 1e-9."""
    each = found.per_query
    assert each.query_index.tolist() == expected.query_index
    assert found.num_queries == len(expected.query_index)
    assert found.num_skipped == num_given - len(expected.query_index)
    np.testing.assert_allclose(
        each.average_precision_at_r, expected.average_precision, rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(each.r_precision, expected.r_precision, rtol=0, atol=1e-9)
    assert each.knn_correct.tolist() == expected.knn
    for k in ks:
        assert each.recall_at[k].tolist() == expected.recall[k], f"Recall@{k}"
        assert found.recall_at[k] == pytest.approx(np.mean(expected.recall[k]), abs=1e-12)
    assert found.map_at_r == pytest.approx(np.mean(expected.average_precision), abs=1e-9)
    assert found.r_precision == pytest.approx(np.mean(expected.r_precision), abs=1e-9)
    assert found.knn_accuracy == pytest.approx(np.mean(expected.knn), abs=1e-12)


def cube_corners(rng, count):
    """Vectors (count, 4) of ±1: their cosines are exact in any precision, and tie all the time."""
    return rng.choice([-1.0, 1.0], (count, 4))


def embeddings_of(kind, rng, count):
    if kind == "ties":
        return cube_corners(rng, count)
    rows = rng.normal(size=(count, 6))
    if kind == "duplicates":
        rows = rows[rng.integers(0, max(2, count // 2), count)]
    if kind == "zeros":
        rows[rng.random(count) < 0.3] = 0
    return rows


def labels_of(classes, rng, count):
    if classes == "unbalanced":
        return np.minimum(rng.geometric(0.4, count), 5)
    if classes == "singletons":
        return rng.integers(0, count, count)
    return rng.integers(0, max(2, count // 5), count)


@pytest.mark.parametrize("split", ["self", "gallery"])
@pytest.mark.parametrize("classes", ["even", "unbalanced", "singletons"])
@pytest.mark.parametrize("kind", ["random", "ties", "duplicates", "zeros"])
def test_all_scores_equal_the_oracle(score, oracle, kind, classes, split):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(8, 45))
        rows = embeddings_of(kind, rng, count)
        labels = labels_of(classes, rng, count)
        given = (rows, labels)
        if split == "gallery":
            cut = count // 3
            given = (rows[:cut], labels[:cut], rows[cut:], labels[cut:])
        expected = oracle(*given, ks=KS)
        if expected.query_index:
            require_equal(score(*given, ks=KS), expected, len(given[0]))
        else:
            with pytest.raises(ValueError, match="No query has a relevant item"):
                score(*given, ks=KS)


@pytest.mark.parametrize("split", ["self", "gallery"])
@pytest.mark.parametrize("classes", ["even", "unbalanced", "singletons"])
@pytest.mark.parametrize("kind", ["grid", "random", "duplicates", "zeros"])
def test_distances_order_as_the_oracle_does(score, oracle, kind, classes, split):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(12, 45))
        rows = embeddings_of(kind, rng, count)
        if kind == "grid":  # distances that are exact, and tie all the time
            rows = rng.integers(-2, 3, (count, 3)).astype(float)
        rows[:, 0] *= 3  # lengths differ, so that the cosine has another order
        labels = labels_of(classes, rng, count)
        given = (rows, labels)
        if split == "gallery":
            cut = count // 3
            given = (rows[:cut], labels[:cut], rows[cut:], labels[cut:])
        expected = oracle(*given, ks=KS, metric="euclidean")
        if expected.query_index:
            require_equal(score(*given, ks=KS, metric="euclidean"), expected, len(given[0]))


def test_distances_of_narrow_rows_are_compared_in_float64(score, oracle):
    rng = np.random.default_rng(0)
    rows = (1000 + rng.normal(size=(40, 6))).astype(np.float32)
    labels = rng.integers(0, 8, 40)
    found = score(rows, labels, ks=KS, metric="euclidean")
    require_equal(found, oracle(rows.tolist(), labels, ks=KS, metric="euclidean"), 40)


@pytest.mark.parametrize(
    "bad, message", [(np.nan, "NaN or infinity, first in row 3"), (1e200, "first in row 3")]
)
def test_rows_that_have_no_distance_are_refused(score, bad, message):
    rows = np.ones((6, 2))
    rows[3, 1] = bad
    with pytest.raises(ValueError, match=message):
        score(rows, [0, 0, 1, 1, 2, 2], metric="euclidean")


def test_another_metric_is_refused(score):
    with pytest.raises(ValueError, match="'cosine' or 'euclidean'"):
        score(np.ones((4, 2)), [0, 0, 1, 1], metric="manhattan")


@pytest.mark.parametrize("voters", [1, 2, 3, 4, 5, 50])
def test_votes_of_neighbours_equal_the_oracle(score, oracle, voters):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows, labels = cube_corners(rng, 24), rng.integers(0, 5, 24)
        if seed % 2 or voters > 5:  # the orders of many equals are too many to try
            rows = rng.normal(size=(24, 3))
        found = score(rows, labels, knn_k=voters)
        assert found.per_query.knn_correct.tolist() == oracle(rows, labels, knn=voters).knn


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "bfloat16"])
@pytest.mark.parametrize("holder", ["array", "tensor"])
def test_every_precision(score, oracle, dtype, holder):
    if (dtype, holder) == ("bfloat16", "array"):
        pytest.skip("NumPy has no bfloat16")
    rng = np.random.default_rng(0)
    scaled = rng.normal(size=(40, 6)) * (20 if dtype == "int8" else 1)
    rows = torch.from_numpy(scaled).to(getattr(torch, dtype))
    labels = rng.integers(0, 8, 40)
    given = rows.float().numpy().astype(dtype) if holder == "array" else rows
    require_equal(score(given, labels, ks=KS), oracle(rows.double().tolist(), labels, ks=KS), 40)


def test_strided_rows_and_tensors_that_ask_for_gradients(score, oracle):
    rng = np.random.default_rng(0)
    wide, labels = rng.normal(size=(12, 80)), rng.integers(0, 8, 40)
    rows = wide.T[::2, ::2]
    before = wide.copy()
    expected = oracle(rows, labels, ks=KS)
    require_equal(score(rows, labels[::1], ks=KS), expected, 40)
    tensor = torch.from_numpy(rows.copy()).requires_grad_()
    require_equal(score(tensor, torch.from_numpy(labels), ks=KS), expected, 40)
    assert (wide == before).all() and tensor.grad is None


def test_lengths_of_vectors_do_not_matter(score, oracle):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(30, 6)), rng.integers(0, 6, 30)
    lengths = 10.0 ** rng.integers(-300, 300, (30, 1))
    require_equal(score(rows * lengths, labels, ks=KS), oracle(rows, labels, ks=KS), 30)


@pytest.mark.parametrize("split", ["self", "gallery"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_memory_map_is_read_piece_by_piece(score, tmp_path, dtype, split):
    """Never the whole file: what is read at once stays far under its size."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(300, 16)).astype(dtype), rng.integers(0, 40, 300)
    stored = np.memmap(tmp_path / "rows", dtype, "w+", shape=rows.shape)
    stored[:] = rows
    stored.flush()
    stored = np.memmap(tmp_path / "rows", dtype, "r", shape=rows.shape)
    queries = (rows[:50] + rows[50:100], labels[:50])
    if split == "self":
        mapped, held = score(stored, labels, block_bytes=5000), score(rows, labels)
    else:
        mapped = score(*queries, stored, labels, block_bytes=5000)
        held = score(*queries, rows, labels)
    for field in ("average_precision_at_r", "r_precision", "knn_correct"):
        np.testing.assert_array_equal(
            getattr(mapped.per_query, field), getattr(held.per_query, field)
        )
    assert mapped.recall_at == held.recall_at


@pytest.mark.parametrize("split", ["self", "gallery"])
def test_equal_to_pytorch_metric_learning_without_ties(score, split):
    """Its means are over queries, too, and its K is as deep as the largest class on request."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    rng = np.random.default_rng(0)
    labels = torch.from_numpy(np.minimum(rng.geometric(0.1, 400), 30))
    rows = torch.from_numpy(rng.normal(size=(30, 16)))[labels - 1] + torch.from_numpy(
        1.5 * rng.normal(size=(400, 16))
    )
    calculator = AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    )
    given = (rows, labels)
    if split == "gallery":
        given = (rows[:100], labels[:100], rows[100:], labels[100:])
    theirs, ours = calculator.get_accuracy(*given), score(*given)
    assert 0.1 < ours.map_at_r < 0.9
    assert ours.map_at_r == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert ours.r_precision == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert ours.recall_at[1] == pytest.approx(theirs["precision_at_1"], abs=1e-6)
