"""Every metric against plain loops, on data with ties, duplicates, singletons and galleries."""

from __future__ import annotations

import numpy as np
import pytest

from dmlbench.evaluate.retrieval import retrieval


def oracle(queries, labels, gallery=None, gallery_labels=None, ks=(1, 2, 4, 8)):
    """Metrics by sorting each query's whole list, the worst order among equals."""
    own = gallery is None
    gallery = queries if own else gallery
    gallery_labels = labels if own else gallery_labels
    sums = {"map": [], "rp": [], **{k: [] for k in ks}}
    for i, query in enumerate(queries):
        items = []
        for j, item in enumerate(gallery):
            if own and i == j:
                continue
            cosine = float(query @ item) / (np.linalg.norm(query) * np.linalg.norm(item))
            # Values that differ by rounding alone are equal.
            items.append((-round(cosine, 9), bool(gallery_labels[j] == labels[i])))
        items.sort()  # False before True: a wrong one of equal similarity comes first
        hits = [right for _, right in items]
        relevant = sum(hits)
        if not relevant:
            continue
        precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(relevant) if hits[n]]
        sums["map"].append(sum(precisions) / relevant)
        sums["rp"].append(sum(hits[:relevant]) / relevant)
        for k in ks:
            sums[k].append(float(any(hits[:k])))
    return {key: float(np.mean(values)) for key, values in sums.items()}, len(sums["map"])


def integers(rng, count, width):
    """Vectors of equal length with many exact ties: signed unit vectors and their sums."""
    choices = np.array([[1, 1, 1, 1], [1, -1, 1, 1], [1, 1, -1, 1], [-1, 1, 1, 1], [1, -1, -1, 1]])
    return choices[rng.integers(0, len(choices), (count, width))].reshape(count, -1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["random", "ties", "duplicates"])
@pytest.mark.parametrize("split", ["self", "gallery"])
def test_metrics_equal_the_oracle(seed, kind, split):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 60))
    labels = rng.integers(0, max(2, count // 4), count) + 2**24  # float32 would merge these
    if kind == "ties":
        embeddings = integers(rng, count, 1).astype(np.float64)
    else:
        embeddings = rng.normal(size=(count, 6))
        if kind == "duplicates":
            embeddings = embeddings[rng.integers(0, count, count)]
    arguments = (embeddings, labels)
    if split == "gallery":
        cut = count // 2
        arguments = (embeddings[:cut], labels[:cut], embeddings[cut:], labels[cut:])
    expected, num_queries = oracle(*arguments)
    if not num_queries:
        pytest.skip("no query has a match")
    found = retrieval(*arguments)
    assert found.num_queries == num_queries
    assert found.num_queries + found.num_skipped == len(arguments[0])
    assert found.map_at_r == pytest.approx(expected["map"], abs=1e-9)
    assert found.r_precision == pytest.approx(expected["rp"], abs=1e-9)
    for k in (1, 2, 4, 8):
        assert found.recall_at[k] == pytest.approx(expected[k], abs=1e-9)


def test_exact_duplicates_find_each_other():
    """Removing the first neighbour instead of the query itself would give 0.5."""
    rows = np.repeat(np.random.default_rng(0).normal(size=(8, 5)), 2, axis=0)
    assert retrieval(rows, np.repeat(np.arange(8), 2)).recall_at[1] == 1.0


def test_a_collapsed_embedding_scores_zero():
    found = retrieval(np.ones((40, 7), dtype=np.float32), np.arange(40) // 4)
    assert found.recall_at[1] == 0 and found.map_at_r == 0


def test_nan_is_refused():
    rows = np.random.default_rng(0).normal(size=(8, 3))
    rows[3, 1] = np.nan
    with pytest.raises(ValueError):
        retrieval(rows, np.arange(8) // 2)


def test_k_beyond_the_gallery():
    rows = np.random.default_rng(0).normal(size=(6, 3))
    assert retrieval(rows, np.arange(6) // 2, ks=(1, 1000)).recall_at[1000] == 1.0


def test_equal_to_pytorch_metric_learning_without_ties():
    torch = pytest.importorskip("torch")
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    rng = np.random.default_rng(0)
    rows = torch.tensor(rng.normal(size=(200, 16)), dtype=torch.float32)
    labels = torch.tensor(rng.integers(0, 20, 200))
    calculator = AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    )
    theirs = calculator.get_accuracy(rows, labels)
    ours = retrieval(rows, labels)
    # Theirs average over classes only when asked to; by default over queries, as ours.
    assert ours.map_at_r == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert ours.r_precision == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert ours.recall_at[1] == pytest.approx(theirs["precision_at_1"], abs=1e-6)
