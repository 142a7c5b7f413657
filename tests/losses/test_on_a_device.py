"""Losses on a device: the numbers of the CPU, and nothing waits, forward or back."""

import numpy as np
import pytest
import torch
from every_loss import EVERY, batch, build
from simulated_device import Waited, moved, on_device, read

from dmlbench.data import devices
from dmlbench.losses.host_labels import host_labels, note_labels
from dmlbench.losses.similarity import LastResult

SEVERAL_BATCHES = ("cross-batch-memory", "margin")


def step(loss, embeddings, labels):
    """Value and gradient of one step."""
    embeddings.requires_grad_()
    value = loss(embeddings, labels)
    value.backward()
    return read(value), read(embeddings.grad)


def batches(case, name):
    """Several where a loss remembers or counts."""
    embeddings, labels = batch(case)
    return [
        (embeddings * (1 + 0.1 * turn), (labels + turn) % 8)
        for turn in range(3 if name.startswith(SEVERAL_BATCHES) else 1)
    ]


@pytest.mark.parametrize("case", ["equal classes", "unequal classes", "no positives", "one item"])
@pytest.mark.parametrize("name", EVERY)
def test_a_loss_waits_for_nothing_and_gives_the_numbers_of_the_cpu(name, case, simulated_device):
    here, there = build(name), moved(build(name))
    for embeddings, labels in batches(case, name):
        value, gradient = step(here, embeddings.clone(), labels)
        sent = on_device(labels)
        note_labels(sent, labels.numpy())
        found, slope = step(there, on_device(embeddings), sent)
        torch.testing.assert_close(found, value, rtol=2e-5, atol=1e-6)
        torch.testing.assert_close(slope, gradient, rtol=2e-4, atol=1e-6)
    for parameter, twin in zip(here.parameters(), there.parameters(), strict=True):
        if parameter.grad is not None:
            torch.testing.assert_close(read(twin.grad), parameter.grad, rtol=2e-4, atol=1e-6)


def test_labels_that_nobody_noted_are_read_once_for_all_losses(simulated_device, monkeypatch):
    reads = []
    monkeypatch.setattr(
        type(on_device(torch.zeros(1))), "cpu", lambda self: reads.append(self) or read(self)
    )
    embeddings, labels = batch("equal classes")
    embeddings, labels = on_device(embeddings), on_device(labels)
    for name in ("triplet", "contrastive", "proxy-anchor", "n-pairs"):
        step(moved(build(name)), embeddings, labels)
    assert len(reads) == 1


def test_labels_that_were_written_to_are_read_again():
    labels = torch.arange(4)
    note_labels(labels, np.array([7, 7, 7, 7]))
    device = on_device(labels)
    note_labels(device, np.array([1, 1, 2, 2]))
    assert host_labels(device).tolist() == [1, 1, 2, 2]
    device += 1
    with pytest.raises(Waited):
        host_labels(device)


def test_labels_out_of_range_are_an_error_without_a_read(simulated_device):
    embeddings, labels = batch("equal classes")
    sent = on_device(labels + 5)
    note_labels(sent, labels.numpy() + 5)
    loss = moved(build("proxy-nca"))
    with pytest.raises(ValueError, match=r"range from 5 to 8.*\[0, 8\)"):
        loss(on_device(embeddings), sent)


def test_what_was_made_from_a_tensor_on_a_device_is_forgotten_once_it_is_written_to():
    last, made, source = LastResult(), torch.zeros(1), on_device(torch.zeros(2))
    last.put(source, made)
    assert last.get(source) is made
    source += 1
    assert last.get(source) is None


def test_counters_stay_on_the_cpu_and_go_on_from_a_loaded_state(simulated_device):
    """A resumed queue has its labels, although the host kept none of them."""
    embeddings, labels = batch("unequal classes")
    first = moved(build("cross-batch-memory start=0"))
    for _ in range(2):
        sent = on_device(labels)
        note_labels(sent, labels.numpy())
        step(first, on_device(embeddings), sent)
    assert first.seen.device.type == "cpu" and int(first.seen) == 2 * len(labels)

    second = moved(build("cross-batch-memory start=0"))
    second.load_state_dict(first.state_dict())
    results = []
    for loss in (first, second):
        sent = on_device(labels)
        note_labels(sent, labels.numpy())
        devices_read = pytest.MonkeyPatch()
        devices_read.setattr(type(sent), "cpu", read)  # of the loaded labels, once
        results.append(step(loss, on_device(embeddings), sent))
        devices_read.undo()
    assert torch.equal(results[0][1], results[1][1])


def test_the_device_notices_what_waits(simulated_device):
    """Otherwise the tests above would hold of any code."""
    values, mask = on_device(torch.arange(4.0)), on_device(torch.tensor([True, False] * 2))
    for waits in (
        values[0].item,
        values.tolist,
        values.cpu,
        lambda: bool(mask[0]),
        lambda: int(values.sum()),
        lambda: torch.equal(values, values),
        mask.nonzero,
        lambda: values[mask],
        lambda: torch.unique(values),
        lambda: torch.bincount(values.long()),
        lambda: values + torch.ones(4),
        lambda: torch.ones(4).to(values.device),
    ):
        with pytest.raises(Waited):
            waits()
    assert read(devices.to_device(torch.ones(4), values.device) + values).tolist() == [1, 2, 3, 4]
