"""NMI and AMI of a seeded k-means, and what is said where faiss is missing or there twice."""

from __future__ import annotations

import builtins
import math
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from words import refused

from dmlbench.evaluate import FaissMissing, clustering
from dmlbench.evaluate.clustering import obstacles, two_faiss

MODULE = sys.modules[clustering.__module__]


def clusters(rng, classes=6, items=20, noise=0.02):
    labels = np.repeat(np.arange(classes), items)
    return rng.normal(size=(classes, 8))[labels] + noise * rng.normal(size=(len(labels), 8)), labels


def entropy(*sequences):
    pairs = Counter(zip(*sequences, strict=True))
    total = sum(pairs.values())
    return -sum(n / total * math.log(n / total) for n in pairs.values())


def test_classes_that_are_clusters_score_one():
    rows, labels = clusters(np.random.default_rng(0), classes=2)
    found = clustering(rows, labels + 2**40)
    assert found.num_clusters == 2
    assert found.nmi == pytest.approx(1.0) and found.ami == pytest.approx(1.0)


def test_nmi_divides_by_the_arithmetic_mean_of_the_entropies(monkeypatch):
    """Against the formula, on an assignment that agrees with the classes in part."""
    rng = np.random.default_rng(0)
    labels, assignment = rng.integers(0, 4, 50), rng.integers(0, 3, 50)
    assignment[:30] = labels[:30] % 3
    monkeypatch.setattr(MODULE, "_kmeans", lambda *_: (assignment, "by hand"))
    found = clustering(rng.normal(size=(50, 3)), labels)
    mutual = entropy(labels) + entropy(assignment) - entropy(labels, assignment)
    mean = (entropy(labels) + entropy(assignment)) / 2
    assert found.nmi == pytest.approx(mutual / mean, abs=1e-9)
    assert found.ami < found.nmi  # chance is taken off


def test_as_many_clusters_as_test_classes_and_as_asked():
    rows, labels = clusters(np.random.default_rng(0))
    assert clustering(rows, labels).num_clusters == 6
    assert clustering(rows, labels, num_clusters=3).num_clusters == 3
    with refused(ValueError, "num_clusters", "121", "1", "120"):
        clustering(rows, labels, num_clusters=121)


def test_a_seed_gives_the_same_clusters_and_another_seed_others():
    rows, labels = clusters(np.random.default_rng(0), classes=30, items=6, noise=1.0)
    one, again, other = (clustering(rows, labels, seed=seed) for seed in (0, 0, 1))
    assert one == again and one.nmi != other.nmi
    assert "seed=0" in one.algorithm and "faiss" in one.algorithm
    with refused(ValueError, "1"):
        clustering(rows, labels, seed=-1)


def test_lengths_of_vectors_do_not_matter():
    rows, labels = clusters(np.random.default_rng(0), noise=0.6)
    lengths = 2.0 ** np.random.default_rng(1).integers(-9, 9, (len(rows), 1))
    assert clustering(rows * lengths, labels) == clustering(rows, labels)


def test_lengths_tell_classes_apart_by_distance_alone():
    labels = np.arange(3).repeat(5)
    rows = np.outer(labels + 1.0, [3.0, 4.0])
    assert clustering(rows, labels, metric="euclidean").nmi == pytest.approx(1.0)
    assert clustering(rows, labels).nmi < 0.9
    with pytest.raises(ValueError, match="'cosine' or 'euclidean'"):
        clustering(rows, labels, metric="manhattan")


def test_what_is_no_number_is_refused():
    rows, labels = clusters(np.random.default_rng(0))
    rows[7, 0] = np.nan
    with refused(ValueError, "7"):
        clustering(rows, labels)


def without_faiss(monkeypatch, error):
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        if name == "faiss":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)


def test_without_faiss_the_error_says_what_to_install(monkeypatch):
    rows, labels = clusters(np.random.default_rng(0))
    without_faiss(monkeypatch, ModuleNotFoundError("No module named 'faiss'", name="faiss"))
    with pytest.raises(FaissMissing, match=r"is not installed.*pip install 'dmlbench\[cpu\]'"):
        clustering(rows, labels)


def test_a_faiss_that_cannot_be_imported_is_not_called_missing(monkeypatch):
    rows, labels = clusters(np.random.default_rng(0))
    without_faiss(monkeypatch, ImportError("libcudart.so.12: cannot open"))
    with pytest.raises(FaissMissing, match=r"cannot be imported \(libcudart.so.12"):
        clustering(rows, labels)


@pytest.mark.parametrize("names", [("faiss-cpu", "faiss-gpu"), ("faiss-gpu-cu12", "faiss_cpu")])
def test_two_faiss_are_warned_of_once(monkeypatch, tmp_path, names):
    for name in (*names, "torch", "faiss-tools", None):
        folder = tmp_path / f"{(name or 'faiss_nameless').replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\n" if name else "")
    pytest.importorskip("faiss")  # before the path changes
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    MODULE._warn_of_two_faiss.cache_clear()
    rows, labels = clusters(np.random.default_rng(0))
    with pytest.warns(UserWarning, match=f"{names[0]} and {names[1]} are both installed"):
        clustering(rows, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clustering(rows, labels)
    assert obstacles() == [two_faiss()]
    MODULE._warn_of_two_faiss.cache_clear()


def test_what_stands_in_the_way_is_told_before_a_run(monkeypatch):
    assert obstacles() == []
    monkeypatch.setattr(MODULE.importlib.util, "find_spec", lambda name: None)
    assert obstacles() == [str(FaissMissing())]


@pytest.mark.parametrize("gpus", [0, 2])
def test_gpus_are_used_where_faiss_sees_them(monkeypatch, gpus):
    import faiss

    asked = []
    real = faiss.Kmeans
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: gpus)
    monkeypatch.setattr(
        faiss, "Kmeans", lambda *a, gpu, **k: asked.append(gpu) or real(*a, gpu=False, **k)
    )
    rows, labels = clusters(np.random.default_rng(0))
    assert (" on gpu" in clustering(rows, labels, device="cuda").algorithm) == (gpus > 0)
    clustering(rows, labels, device="cpu")
    assert asked == [gpus > 0, False]
