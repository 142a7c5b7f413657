"""What others get wrong, each by its name, with the answer worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dmlbench.evaluate import retrieval, tiles


def at_angles(*degrees):
    """Unit vectors (N, 2): the nearer two angles, the more similar."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_the_query_leaves_by_its_index_and_not_by_being_the_nearest(score):
    """Each item has a copy in the other class: dropping the first found gives 0.5."""
    rows = np.repeat(np.random.default_rng(0).normal(size=(2, 5)), 2, axis=0)
    found = score(rows, [0, 1, 0, 1])
    assert found.recall_at[1] == 0.0 and found.knn_accuracy == 0.0


def test_exact_duplicates_of_one_class_find_each_other(score):
    rows = np.repeat(np.random.default_rng(0).normal(size=(8, 5)), 2, axis=0)
    found = score(rows, np.repeat(np.arange(8), 2))
    assert found.recall_at[1] == found.map_at_r == found.r_precision == 1.0


def test_a_collapsed_embedding_scores_zero(score):
    found = score(np.full((40, 7), 0.1, np.float32), np.arange(40) // 4, ks=(1, 8))
    assert found.recall_at == {1: 0.0, 8: 0.0} and found.knn_accuracy == 0
    assert found.map_at_r == found.r_precision == 0


def test_k_beyond_the_gallery_counts_nothing_twice(score):
    """A list filled up with −1 has given a MAP of 2.5."""
    found = score(at_angles(0, 1, 50, 51, 120, 121), [0, 0, 1, 1, 2, 2], ks=(5, 6, 1000))
    assert found.recall_at == {5: 1.0, 6: 1.0, 1000: 1.0}
    assert found.map_at_r == found.r_precision == 1.0


def test_fewer_neighbours_than_voters(score):
    assert score(at_angles(0, 1), [0, 0]).knn_accuracy == 1.0
    assert score(at_angles(0, 1, 5), [0, 1, 0], knn_k=3).knn_accuracy == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 99])
def test_what_is_no_number_is_refused_by_its_row(score, value, label):
    """In a query, a gallery item, or an item that no query asks for."""
    rows, labels = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) // 2
    bad, bad_labels = rows.copy(), labels.copy()
    bad[5, 1], bad_labels[5] = value, label
    with pytest.raises(ValueError, match="embeddings.* row 5"):
        score(bad, bad_labels)
    with pytest.raises(ValueError, match="embeddings.* row 5"):
        score(bad, bad_labels, rows, labels)
    with pytest.raises(ValueError, match="gallery.* row 5"):
        score(rows, labels, bad, bad_labels)


@pytest.mark.parametrize("first", [2**24, 2**53, -(2**62), 2**63 - 2])
def test_labels_that_floats_would_merge(score, first):
    """As float32, 2²⁴ and 2²⁴ + 1 are one class, and Recall@1 is 1."""
    rows = at_angles(0, 1, 10, 11)
    found = score(rows, np.array([first, first + 1, first, first + 1]))
    assert found.recall_at[1] == 0.0 and found.map_at_r == 0.0


def test_map_is_divided_by_r_and_not_by_the_hits(score):
    """Query at 0°: right at 1°, wrong at 2°, right at 3°. R = 2, one hit in two: AP is 1/2."""
    found = score(at_angles(0), [0], at_angles(1, 2, 3), [0, 1, 0])
    assert found.map_at_r == 0.5 and found.r_precision == 0.5


def test_r_leaves_the_query_out(score):
    """A class of three has R = 2: divided by three, a perfect list scores 2/3."""
    found = score(at_angles(0, 1, 2, 90, 91, 92), [0, 0, 0, 1, 1, 1])
    assert found.map_at_r == found.r_precision == 1.0


def test_r_in_a_gallery_is_the_whole_class(score):
    found = score(at_angles(0), [0], at_angles(1, 2, 3, 90), [0, 0, 0, 1])
    assert found.map_at_r == found.r_precision == 1.0


def test_map_looks_as_deep_as_r_whatever_k_is(score):
    """49 right ones and then the wrong: a list of one, or of ten, cannot tell."""
    rows = at_angles(*np.linspace(0, 10, 50), *np.linspace(90, 100, 50))
    labels = np.repeat([0, 1], 50)
    assert score(rows, labels, ks=(1,)).map_at_r == 1.0
    labels[:20] = 1  # the farthest from 100°: its R is 69, 49 of them near
    found = score(rows, labels, ks=(1,)).per_query
    assert found.r_precision[49] == 1.0 and found.r_precision[-1] == pytest.approx(49 / 69)


def test_singletons_are_left_out_and_counted(score):
    """Scored 0 they pull the mean down to 2/3; over their R they give NaN."""
    found = score(at_angles(0, 1, 45, 90, 91, 135), [7, 7, 8, 9, 9, 10])
    assert (found.num_queries, found.num_skipped) == (4, 2)
    assert found.map_at_r == found.recall_at[1] == 1.0
    assert found.per_query.query_index.tolist() == [0, 1, 3, 4]


def test_singletons_still_stand_in_the_way(score):
    assert score(at_angles(0, 2, -1), [7, 7, 8]).recall_at[1] == 0.5


def test_means_are_over_queries_and_not_over_classes(score):
    """Four right queries of one class, two wrong ones of another: 4/6, not 1/2."""
    found = score(at_angles(0, 1, 2, 3, 90, 180, 91), [0, 0, 0, 0, 1, 1, 2])
    assert found.recall_at[1] == pytest.approx(4 / 6)


def test_one_class(score):
    found = score(np.random.default_rng(0).normal(size=(9, 4)), np.full(9, 3))
    assert found.map_at_r == found.knn_accuracy == found.recall_at[1] == 1.0


@pytest.mark.parametrize("rows", [1, 5])
def test_no_query_with_a_relevant_item_is_an_error(score, rows):
    with pytest.raises(ValueError, match="every class has one item"):
        score(np.eye(5)[:rows], np.arange(rows))
    with pytest.raises(ValueError, match="no class is in the gallery"):
        score(np.eye(5)[:rows], np.arange(rows), np.eye(5), np.arange(5) + 10)


def test_one_query_in_a_gallery(score):
    assert score(at_angles(0), [4], at_angles(1), [4]).map_at_r == 1.0


def test_a_zero_vector_is_like_nothing(score):
    """Similarity 0 to all: no division by its length, and all items tie."""
    found = score(np.zeros((1, 2)), [0], at_angles(0, 90), [0, 1])
    assert found.recall_at[1] == 0.0 and found.recall_at[2] == 1.0


def test_of_equal_votes_the_nearest_wins(score):
    assert score(at_angles(0), [0], at_angles(1, 2, 3), [0, 1, 2]).knn_accuracy == 1.0
    assert score(at_angles(0), [1], at_angles(1, 2, 3), [0, 1, 2]).knn_accuracy == 0.0
    assert score(at_angles(0), [1], at_angles(1, 2, 3), [0, 1, 1]).knn_accuracy == 1.0


def paired(num_classes, width, seed):
    """Classes of three in pairs: each item of the one is byte for byte an item of the other.

    Each of a query's two relevant items has its equal copy, and the query's own copy stands before
    both: ranks 3 and 5 where R is 2, so that every score is 0 if copies tie, and only then.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_classes // 2, 1, 1, width))
    rows = np.broadcast_to(
        centres + 0.1 * rng.normal(size=(num_classes // 2, 1, 3, width)),
        (num_classes // 2, 2, 3, width),
    )
    order = rng.permutation(num_classes * 3)
    rows = rows.reshape(-1, width).astype(np.float32)[order]
    return rows, np.repeat(np.arange(num_classes), 3)[order]


@pytest.mark.parametrize("width", [1, 3, 7, 16, 31, 64, 100, 129, 512])
@pytest.mark.parametrize("num_classes", [10, 334, 666, 1000])
def test_copies_tie_wherever_they_lie_in_the_product(num_classes, width):
    """A BLAS gives equal columns other last digits at a tile's edge than within it."""
    rows, labels = paired(num_classes, width, seed=width)
    for block_bytes in (2**28, 2**20):
        found = retrieval(rows, labels, ks=(1, 2, 5), block_bytes=block_bytes)
        assert (found.map_at_r, found.r_precision) == (0.0, 0.0)
        assert (found.recall_at[1], found.recall_at[2], found.knn_accuracy) == (0.0, 0.0, 0.0)
        if width > 7:  # the classes then lie apart
            assert found.recall_at[5] == 1.0


def test_copies_tie_on_other_devices_and_in_other_tiles(score):
    rows, labels = paired(40, 31, seed=0)
    found = score(rows, labels, ks=(1, 2, 3))
    assert found.recall_at == {1: 0.0, 2: 0.0, 3: 1.0} and found.map_at_r == 0.0


def test_copies_in_a_gallery_tie(score):
    rows, labels = paired(60, 100, seed=0)
    queries, wanted = rows[:50] + np.float32(0.01), labels[:50]
    found = score(queries, wanted, rows, labels, ks=(1, 2))
    assert found.recall_at == {1: 0.0, 2: 1.0}


@pytest.mark.parametrize("width", [3, 64])
def test_the_memory_to_use_changes_no_score(width):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1500, width))
    labels = rng.integers(0, 100, 1500)
    default = retrieval(rows, labels)
    small = retrieval(rows, labels, block_bytes=2**20)
    np.testing.assert_allclose(
        default.per_query.average_precision_at_r,
        small.per_query.average_precision_at_r,
        rtol=0,
        atol=1e-9,
    )


def test_order_of_the_items_changes_no_score(score):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 5)), rng.integers(0, 12, 60)
    order = rng.permutation(60)
    one, other = score(rows, labels), score(rows[order], labels[order])
    back = np.argsort(order[other.per_query.query_index])
    np.testing.assert_allclose(
        one.per_query.average_precision_at_r,
        other.per_query.average_precision_at_r[back],
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.ones(4)}, r"embeddings have shape \(4,\)"),
        ({"embeddings": np.ones((0, 3)), "labels": []}, r"embeddings have shape \(0, 3\)"),
        ({"embeddings": np.ones((4, 3)) * 1j}, "embeddings are complex128"),
        ({"embeddings": np.ones((4, 3), bool)}, "embeddings are bool"),
        ({"labels": [0, 0, 1]}, r"labels have shape \(3,\); one label per embedding"),
        ({"labels": [0.0, 0.0, 1.0, 1.0]}, "labels are float64; they must be integers"),
        ({"labels": list("aabb")}, "labels are <U1; they must be integers"),
        ({"labels": np.array([0, 0, 1, 2**63], np.uint64)}, "must fit int64"),
        ({"gallery": np.ones((4, 3))}, "gallery and gallery_labels belong together"),
        (
            {"gallery": np.ones((4, 2)), "gallery_labels": [0, 0, 1, 1]},
            "3 dimensions and gallery has 2",
        ),
        ({"ks": (0,)}, "ks has 0; every K must be an integer of at least 1"),
        ({"ks": (1.5,)}, "ks has 1.5"),
        ({"knn_k": 0}, "knn_k has 0"),
        ({"device": "cuda:99"}, "device is 'cuda:99', which cannot be used here"),
    ],
)
def test_what_cannot_be_scored_is_an_error_that_says_why(change, message):
    given = {"embeddings": np.random.default_rng(0).normal(size=(4, 3)), "labels": [0, 0, 1, 1]}
    with pytest.raises(ValueError, match=message):
        retrieval(**{**given, **change})


def test_the_precision_of_products_is_put_back():
    from dmlbench.evaluate import rowwise
    from dmlbench.evaluate.items import prepare

    rows, labels = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) // 2
    task = prepare(rows, labels, None, None, rows.dtype, 2**20)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        list(rowwise.scan(task, 8, 3, 2**20, "cpu"))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_error_in_a_worker_is_raised(monkeypatch):
    """Threads must not swallow it, nor wait for each other."""
    import contextlib

    monkeypatch.setattr(tiles, "_one_blas_thread_each", lambda _: contextlib.nullcontext(2))
    monkeypatch.setattr(tiles.QueryBlock, "absorb", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        retrieval(np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) // 2)
