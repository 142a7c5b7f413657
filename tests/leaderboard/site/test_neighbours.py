"""Sampled queries against plain loops over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from dmlbench.evaluate.retrieval import retrieval
from dmlbench.leaderboard.site.neighbours import sample_queries


def by_hand(query, queries, labels, items, item_labels, itself):
    """Every item but the query, nearest first; of equally near ones the wrong ones first."""
    found = []
    for i, item in enumerate(items):
        if not (itself and i == query):
            a, b = queries[query], item
            cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
            found.append((-round(cosine, 5), item_labels[i] == labels[query], i))
    return sorted(found)


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 12, 90)
    centres = rng.normal(size=(12, 6))
    embeddings = (centres[labels] + 0.9 * rng.normal(size=(90, 6))).astype(np.float32)
    return embeddings, labels


@pytest.mark.parametrize("with_gallery", [False, True])
def test_neighbours_are_those_of_plain_loops(data, with_gallery):
    embeddings, labels = data
    items, item_labels = embeddings, labels
    gallery = ()
    if with_gallery:
        items, item_labels = embeddings[40:] + 0.01, labels[40:]
        embeddings, labels = embeddings[:40], labels[:40]
        gallery = (items, item_labels)
    right, wrong, looked_at = sample_queries(embeddings, labels, *gallery, each=6, depth=5)
    assert len(right) == len(wrong) == 6 and looked_at >= 12
    for query in right + wrong:
        wanted = by_hand(query.index, embeddings, labels, items, item_labels, not with_gallery)
        assert [n.index for n in query.neighbours] == [i for _, _, i in wanted[:5]]
        assert [n.right for n in query.neighbours] == [bool(r) for _, r, _ in wanted[:5]]
        assert query.label == labels[query.index]
    assert all(q.right for q in right) and not any(q.right for q in wrong)


def test_right_and_wrong_are_those_of_recall_at_1(data):
    embeddings, labels = data
    right, wrong, looked_at = sample_queries(embeddings, labels, each=1000)
    scores = retrieval(embeddings, labels)
    assert looked_at == scores.num_queries == len(right) + len(wrong)
    assert len(right) / looked_at == pytest.approx(scores.recall_at[1])


def test_the_order_of_queries_does_not_depend_on_what_was_learned(data):
    embeddings, labels = data
    other = np.random.default_rng(9).normal(size=embeddings.shape)
    first = {q.index for half in sample_queries(embeddings, labels, each=4)[:2] for q in half}
    second = {q.index for half in sample_queries(other, labels, each=4)[:2] for q in half}
    again = {q.index for half in sample_queries(embeddings, labels, each=4)[:2] for q in half}
    assert first == again and first & second


def test_equal_similarities_count_against_the_query():
    labels = np.array([0, 0, 1, 1])
    right, wrong, _ = sample_queries(np.ones((4, 3)), labels)
    assert right == [] and len(wrong) == 4
    assert [n.right for n in wrong[0].neighbours] == [False, False, True]


def test_a_query_alone_in_its_class_is_passed_over():
    rng = np.random.default_rng(0)
    right, wrong, looked_at = sample_queries(rng.normal(size=(5, 3)), np.array([0, 0, 1, 1, 2]))
    assert looked_at == 4 and all(q.label != 2 for q in right + wrong)
