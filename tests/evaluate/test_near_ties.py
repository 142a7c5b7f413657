"""Equal similarities of different embeddings, which the rounding of a product parts."""

from __future__ import annotations

import numpy as np
import pytest

from dmlbench.evaluate import near_ties, retrieval
from dmlbench.evaluate.inputs import normalise

KS = (1, 2, 4, 8, 30, 1000)


def require_equal(found, expected) -> None:
    """All scores of all queries but the vote, whose orders of equals are too many to try."""
    each = found.per_query
    assert each.query_index.tolist() == expected.query_index
    assert each.average_precision_at_r == pytest.approx(expected.average_precision, abs=1e-9)
    assert each.r_precision == pytest.approx(expected.r_precision, abs=1e-9)
    for k in KS:
        assert each.recall_at[k].tolist() == expected.recall[k], f"Recall@{k}"


def codes(kind: str, rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Embeddings of few values, not all zero: similarities that tie in exact arithmetic."""
    if kind == "signs":
        return rng.choice([-1.0, 1.0], (count, width))
    if kind == "bits":
        rows = rng.integers(0, 2, (count, width)).astype(float)
        rows[:, 0] = 1
        return rows
    if kind == "counts":
        return rng.integers(0, 4, (count, width)) + np.eye(width)[rng.integers(0, width, count)]
    # The same values in another order, seen from queries that are constant.
    rows = rng.permuted(np.tile(rng.normal(size=width), (count, 1)), axis=1)
    rows[::3] = rng.choice([0.3, 0.7], (len(rows[::3]), 1))
    return rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [3, 7, 8, 12])
@pytest.mark.parametrize("kind", ["signs", "bits", "counts", "permuted"])
def test_row_11_ties_count_against_the_query(score, oracle, kind, width, dtype) -> None:
    for seed in range(2):
        rng = np.random.default_rng([seed, width])
        rows = codes(kind, rng, 60, width).astype(dtype)
        labels = rng.integers(0, 9, 60)
        require_equal(score(rows, labels, ks=KS), oracle(rows, labels, ks=KS, knn=0))
        given = (rows[:20], labels[:20], rows[20:], labels[20:])
        require_equal(score(*given, ks=KS), oracle(*given, ks=KS, knn=0))


@pytest.mark.parametrize("kind", ["signs", "bits", "counts"])
def test_row_11_votes_that_tie_are_lost(score, oracle, kind) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = codes(kind, rng, 30, 7).astype(np.float32)
        labels = rng.integers(0, 5, 30)
        found = score(rows, labels)
        assert found.per_query.knn_correct.tolist() == oracle(rows, labels).knn


@pytest.mark.parametrize("kind", ["signs", "bits", "permuted"])
def test_distances_that_tie_count_against_the_query(score, oracle, kind) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = codes(kind, rng, 40, 7) * 0.1
        labels = rng.integers(0, 8, 40)
        expected = oracle(rows, labels, ks=KS, knn=0, metric="euclidean")
        require_equal(score(rows, labels, ks=KS, metric="euclidean"), expected)


@pytest.mark.parametrize("length", [1e3, 1e6, 1e8])
def test_one_long_embedding_makes_no_others_tie(score, oracle, length) -> None:
    """What a product rounds depends on its own two items, not on the longest of all."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 5)
    rows = rng.normal(size=(12, 16))[labels] + 1.5 * rng.normal(size=(60, 16))
    expected = oracle(rows, labels, ks=KS, metric="euclidean")
    outlier = np.full((1, 16), length)
    found = score(np.vstack([rows, outlier]), np.append(labels, 99), ks=KS, metric="euclidean")
    require_equal(found, expected)
    assert found.per_query.knn_correct.tolist() == expected.knn


@pytest.mark.parametrize("shift", [0.0, 2.0**10, 2.0**20])
@pytest.mark.parametrize("scale", [2.0**-30, 1.0, 2.0**30])
def test_distances_tie_wherever_the_origin_is(score, oracle, shift, scale) -> None:
    """Both change every product, and no distance between codes beyond a factor."""
    rng = np.random.default_rng(1)
    rows, labels = codes("counts", rng, 40, 7), rng.integers(0, 8, 40)
    expected = oracle(rows, labels, ks=KS, knn=0, metric="euclidean")
    require_equal(score((rows + shift) * scale, labels, ks=KS, metric="euclidean"), expected)


def test_ties_with_a_first_relevant_item_out_of_the_first_tile_s_reach(score, oracle) -> None:
    """Of equally similar items, with a few above them that only just differ, any K counts all."""
    width, tied = 32, 12
    window = (2 * np.sqrt(width) + 4) * np.finfo(np.float32).eps
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = (rng.normal(size=width) + 1).astype(np.float32)
        # As similar to a constant query as each other, in exact arithmetic.
        equals = np.stack([rng.permutation(values) for _ in range(tied + 1)]).astype(np.float64)
        nearer = np.stack([rng.permutation(values) for _ in range(4)]).astype(np.float64)
        length, total = np.linalg.norm(nearer[0]), nearer[0].sum()
        slope = (width - (total / length) ** 2) / (np.sqrt(width) * length)
        nearer += rng.uniform(0.95, 1.02) * window / slope
        gallery = np.concatenate([equals, nearer]).astype(np.float32)
        labels = np.arange(len(gallery))
        queries = np.ones((len(labels), width), np.float32)
        ks = (1, 4, 5, 8, 12, 15, 16, 17)
        found = score(queries, labels, gallery, labels, ks=ks).recall_at
        expected = oracle(queries, labels, gallery, labels, ks=ks, knn=0).recall
        assert found == {k: pytest.approx(np.mean(expected[k])) for k in ks}, seed


def test_row_11_as_reported() -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.choice([-1.0, 1.0], (200, 8)), rng.integers(0, 20, 200)
    wide, narrow = (retrieval(rows.astype(t), labels) for t in (np.float64, np.float32))
    assert wide.recall_at == narrow.recall_at and wide.map_at_r == narrow.map_at_r
    # By whole numbers: how many of 8 places two codes agree in, more or less.
    agree = (rows @ rows.T).round().astype(int)
    np.fill_diagonal(agree, -99)
    same = labels[:, None] == labels
    np.fill_diagonal(same, False)
    asked = same.any(axis=1)
    best = np.where(same, agree, -99).max(axis=1)
    misses = ((agree >= best[:, None]) & ~same & (agree > -99)).sum(axis=1)
    for k in (1, 2, 4, 8):
        assert narrow.recall_at[k] == pytest.approx((misses[asked] < k).mean(), abs=1e-12)


def test_other_embeddings_keep_the_order_of_the_product(monkeypatch) -> None:
    """Or numbers of entries that were made before would change in their last digits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 40, 1500)
    rows = (rng.normal(size=(40, 16))[labels] + 2 * rng.normal(size=(1500, 16))).astype(np.float32)
    asked = []
    places = near_ties.NearTies.places

    def watched(self, *arguments):
        asked.append(len(arguments[0]))
        return places(self, *arguments)

    monkeypatch.setattr(near_ties.NearTies, "places", watched)
    found = retrieval(rows, labels)
    assert sum(asked) > 0  # nearly equal ones there are
    monkeypatch.setattr(near_ties.NearTies, "places", lambda self, *given: given[-1])
    before = retrieval(rows, labels)
    assert found.map_at_r == before.map_at_r and found.recall_at == before.recall_at


@pytest.mark.parametrize("width", [2, 8, 64, 512, 2048])
def test_the_window_holds_what_a_product_rounds(width: int) -> None:
    rows = np.random.default_rng(0).normal(size=(400, width)).astype(np.float32)
    single, double = (
        normalise(rows, np.dtype(dtype), "rows", np.arange(400)) for dtype in ("f4", "f8")
    )
    most = abs(single @ single.T - double @ double.T).max()
    assert 2 * most < near_ties.rounding(width, np.dtype(np.float32))
