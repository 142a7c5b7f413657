"""Class-balanced batches: every image is reached, and every batch is P classes × K images."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from words import refused

from dmlbench.data.sampler import ClassBalancedSampler, RandomSampler
from dmlbench.errors import UsageError


def labels_of(sizes, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)) * 3 + 1, sizes))


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=25),
    share=st.floats(0, 1),
    images=st.integers(1, 6),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 99),
)
@example(sizes=[1] * 9 + [400], share=0.4, images=4, seed=0, epoch=0)  # extreme imbalance
@example(sizes=[1, 1, 1], share=1.0, images=4, seed=0, epoch=0)  # singletons only
@example(sizes=[5], share=0.0, images=2, seed=0, epoch=0)  # one class
def test_an_epoch(sizes, share, images, seed, epoch):
    labels = labels_of(sizes, seed)
    classes = 1 + round(share * (len(sizes) - 1))
    sampler = ClassBalancedSampler(labels, classes, images, seed)
    batches = list(sampler.batches(epoch))
    assert len(batches) == len(sampler)
    size_of = Counter(labels.tolist())
    for batch in batches:
        assert batch.dtype == np.int64 and batch.shape == (classes * images,)
        groups = batch.reshape(classes, images)
        assert len(set(labels[groups[:, 0]])) == classes
        for group in groups:
            assert len(set(labels[group])) == 1
            # No image twice while the class has others, and never more often than needed.
            most = -(-images // size_of[int(labels[group[0]])])
            assert max(Counter(group.tolist()).values()) <= most
    assert set(np.concatenate(batches)) == set(range(len(labels)))


@given(sizes=st.lists(st.integers(1, 9), min_size=3, max_size=12), epoch=st.integers(0, 9))
def test_an_epoch_is_a_function_of_its_number(sizes, epoch):
    sampler = ClassBalancedSampler(labels_of(sizes), 3, 2, seed=5)
    list(sampler.batches(epoch + 1))
    again = ClassBalancedSampler(labels_of(sizes), 3, 2, seed=5)
    assert np.array_equal(list(sampler.batches(epoch)), list(again.batches(epoch)))


def test_epochs_and_seeds_differ():
    labels = labels_of([6] * 20)
    epochs = [
        np.array(list(ClassBalancedSampler(labels, 4, 3, seed).batches(epoch)))
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({epoch.tobytes() for epoch in epochs}) == 4


def test_no_batch_is_wasted_where_the_groups_fit():
    sampler = ClassBalancedSampler(labels_of([8] * 12), classes=4, images=4)
    batches = list(sampler.batches(0))
    assert len(batches) == 6
    assert sorted(np.concatenate(batches)) == list(range(96))  # each image exactly once


def test_the_largest_class_sets_the_length_and_others_fill_its_batches():
    labels = labels_of([40, 4, 4, 4])
    batches = list(ClassBalancedSampler(labels, classes=2, images=4).batches(0))
    assert len(batches) == 10
    partners = [labels[b].reshape(2, 4)[:, 0] for b in batches]
    assert len({int(label) for pair in partners for label in pair}) == 4


def test_batches_of_large_and_small_classes_are_mixed_over_the_epoch():
    labels = labels_of([40] * 4 + [2] * 40)
    batches = list(ClassBalancedSampler(labels, classes=4, images=2).batches(0))
    small = [np.isin(labels[batch], np.arange(4, 44) * 3 + 1).any() for batch in batches]
    half = len(small) // 2
    assert any(small[:half]) and any(small[half:])


def test_more_classes_than_there_are():
    with pytest.raises(UsageError, match=r"32 classes .* 20 .*--set recipe\.batch\.classes=N.* 20"):
        ClassBalancedSampler(labels_of([3] * 20), 32, 4)


@pytest.mark.parametrize(("classes", "images"), [(0, 4), (4, 0), (-1, 2)])
def test_empty_batches(classes, images):
    with refused(UsageError, "1"):
        ClassBalancedSampler(labels_of([3] * 20), classes, images)


@pytest.mark.parametrize("count", [12, 13, 19])
def test_a_random_epoch_reaches_every_image_and_no_batch_repeats_one(count):
    sampler = RandomSampler(np.zeros(count, dtype=np.int64), 6, seed=1)
    batches = [*sampler.batches(0)]
    assert len(batches) == len(sampler) == -(-count // 6)
    assert all(len(set(batch.tolist())) == 6 for batch in batches)
    assert set(np.concatenate(batches).tolist()) == set(range(count))


def test_random_batches_follow_seed_and_epoch_and_not_the_classes():
    labels = np.arange(300).repeat(10)

    def first(seed, epoch):
        return next(RandomSampler(labels, 60, seed).batches(epoch)).tolist()

    assert first(0, 0) == first(0, 0)
    assert len({tuple(first(s, e)) for s in (0, 1) for e in (0, 1)}) == 4
    # 60 of 3,000 images of 300 classes seldom meet: about 0.18 positives an anchor.
    assert len(set(labels[first(0, 0)].tolist())) > 45


def test_a_random_batch_larger_than_the_set_is_refused():
    with refused(UsageError, "64", "10"):
        RandomSampler(np.zeros(10, dtype=np.int64), 64)
