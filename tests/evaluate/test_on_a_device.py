"""Scores on a device: the numbers of the CPU, and what goes back to the host is counted."""

import numpy as np
import pytest
import simulated_device as simulated
import torch
from simulated_device import DEVICE, DeviceTensor, read

from dmlbench.evaluate import retrieval, rowwise


@pytest.fixture
def transfers(simulated_device, monkeypatch):
    """The tensors that were copied to the host so far."""
    copied = []
    monkeypatch.setattr(DeviceTensor, "cpu", lambda self: copied.append(self.shape) or read(self))
    monkeypatch.setattr(simulated, "_sent", lambda: True)  # embeddings are sent, block by block
    return copied


def data(dtype=np.float32):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    centres = rng.normal(size=(12, 8))
    return (centres[labels] + rng.normal(size=(len(labels), 8))).astype(dtype), labels


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block_bytes", [1, 4000, None])
@pytest.mark.parametrize("gallery", [False, True])
def test_all_blocks_together_come_back_once(transfers, metric, block_bytes, gallery):
    embeddings, labels = data()
    given = {"metric": metric, "ks": (1, 4, 30), "knn_k": 3}
    if gallery:
        given |= {"gallery": embeddings[::2] + 0.1, "gallery_labels": labels[::2]}
    expected = retrieval(embeddings, labels, device="cpu", **given)
    found = retrieval(embeddings, labels, device=DEVICE, block_bytes=block_bytes, **given)
    assert found.recall_at == expected.recall_at
    for name in ("map_at_r", "r_precision", "knn_accuracy"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-12)
    # AP@R and R-Precision; misses and votes; which queries a tie may decide.
    assert len(transfers) == 3


def test_ties_alone_are_looked_at_again(transfers, monkeypatch):
    rng = np.random.default_rng(1)
    embeddings = rng.integers(0, 2, (40, 6)).astype(np.float32)
    labels = np.arange(40) % 5
    again = []
    recheck = rowwise.recheck
    monkeypatch.setattr(rowwise, "recheck", lambda *given: again.append(1) or recheck(*given))
    # The pairs that may tie are found by a mask, which waits, once for each block of these queries.
    monkeypatch.setattr(simulated, "_READS", simulated._READS - {"nonzero"})
    expected = retrieval(embeddings, labels, device="cpu")
    found = retrieval(embeddings, labels, device=DEVICE)
    assert again and found.recall_at == expected.recall_at
    assert found.map_at_r == pytest.approx(expected.map_at_r, abs=1e-12)


def test_blocks_are_sized_by_what_is_free_on_the_device(monkeypatch):
    monkeypatch.setattr(rowwise, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(rowwise, "_free_bytes", lambda device: 10**6)
    scan = object.__new__(rowwise._RowScan)
    for kind, expected in (("cpu", 1000), ("cuda", 250_000)):
        scan.device = torch.device(kind)
        assert scan._spare_bytes() == expected
    monkeypatch.setattr(rowwise, "_free_bytes", lambda device: 10**12)
    assert scan._spare_bytes() == rowwise._MOST_BYTES
