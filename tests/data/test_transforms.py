"""Batch transforms: exact values where they are known, and one stream of random numbers."""

import inspect

import numpy as np
import pytest
import torch
from PIL import Image
from words import refused

from dmlbench.data import transforms
from dmlbench.data.augmentations import AUGMENTATIONS
from dmlbench.data.transforms import TestTransform, TrainTransform
from dmlbench.errors import UsageError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(batch=6, channels=3, height=8, width=8, seed=0):
    return torch.randint(
        256, (batch, channels, height, width), generator=generator(seed), dtype=torch.uint8
    )


def smooth(batch=4, side=40):
    low = torch.rand(batch, 3, 6, 6, generator=generator())
    return (torch.nn.functional.interpolate(low, (side, side), mode="bilinear") * 255).byte()


def test_normalisation_is_exact_channel_by_channel():
    images = noise()
    out = TestTransform(8, MEAN, STD)(images)
    mean, std = np.array(MEAN).reshape(3, 1, 1), np.array(STD).reshape(3, 1, 1)
    expected = (images.numpy() / 255.0 - mean) / std
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out.numpy(), expected, atol=2e-6)


def test_grey_is_spread_over_three_channels():
    images = noise(channels=1)
    out = TestTransform(8, *PLAIN)(images)
    assert out.shape == (6, 3, 8, 8)
    torch.testing.assert_close(out, images.expand(-1, 3, -1, -1) / 255)


def test_the_centre_is_cropped():
    images = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6)
    out = TestTransform(2, *PLAIN)(images)[0, 0] * 255
    torch.testing.assert_close(out, torch.tensor([[14.0, 15.0], [20.0, 21.0]]))


def test_an_image_smaller_than_the_crop():
    with pytest.raises(UsageError, match=r"8 × 8 .* 9 × 9.*recipe\.input\.resize=N.* at least 9"):
        TestTransform(9, *PLAIN)(noise())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_memory_format_and_the_source_unharmed(channels):
    images = noise(channels=channels)
    before = images.clone()
    last = TestTransform(8, MEAN, STD, channels_last=True)(images)
    first = TestTransform(8, MEAN, STD)(images)
    assert last.is_contiguous(memory_format=torch.channels_last) and first.is_contiguous()
    assert torch.equal(last, first) and torch.equal(images, before)


def test_shift_is_a_window_of_the_mirrored_image():
    images = noise(batch=64, channels=1, height=6, width=5)
    moved = transforms.shift(images, pixels=2, generator=generator())
    seen = set()
    for image, out in zip(images.numpy()[:, 0], moved.numpy()[:, 0], strict=True):
        padded = np.pad(image, 2, mode="reflect")
        fits = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.array_equal(padded[top : top + 6, left : left + 5], out)
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert {top for top, _ in seen} == {left for _, left in seen} == set(range(5))


def test_shift_by_a_known_offset(monkeypatch):
    # Window (0, 4) of the padded image: content moves 2 down and 2 to the left.
    monkeypatch.setattr(transforms, "_integers", lambda *_: torch.tensor([[0], [4]]))
    images = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6)
    moved = transforms.shift(images, pixels=2, generator=generator())
    assert torch.equal(moved[0, 0, 2:, :4], images[0, 0, :4, 2:])
    assert moved[0, 0, 1].tolist()[:4] == images[0, 0, 1].tolist()[2:]  # mirrored at row 0


def test_shift_by_nothing_is_the_identity():
    assert torch.equal(transforms.shift(noise(), pixels=0, generator=generator()), noise())


def test_a_shift_wider_than_the_image():
    with pytest.raises(UsageError, match="from 0 to 7, not 8"):
        transforms.shift(noise(), pixels=8, generator=generator())


def test_flip_mirrors_some_images_and_leaves_the_others():
    images = noise(batch=200)
    out = transforms.flip(images, generator=generator())
    mirrored = [torch.equal(o, i.flip(2)) for o, i in zip(out, images, strict=True)]
    kept = [torch.equal(o, i) for o, i in zip(out, images, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130
    always = transforms.flip(images, probability=1.0, generator=generator())
    assert torch.equal(always, images.flip(3))


@pytest.mark.parametrize("together", [False, True])
def test_a_crop_that_covers_all_is_the_identity(together):
    images = noise(height=16, width=16)
    full = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
    if together:
        boxes = transforms._boxes(sizes_of(images), *full.values(), generator())
        out = transforms._resize_together(images, boxes, 16)
    else:
        out = transforms.random_resized_crop(images, size=16, **full, generator=generator())
    assert torch.equal(out, images)


def sizes_of(images):
    return torch.tensor(images.shape[2:]).expand(len(images), 2)


@pytest.mark.parametrize("height, width", [(16, 40), (40, 16)])
def test_whole_images_are_cropped_anywhere_and_tested_in_the_middle(height, width):
    """A batch pads images of different sizes; no crop ever reaches into what pads them."""
    one, other = noise(1, 3, height, width), noise(1, 3, 16, 16)
    batch = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    batch[0, :, :height, :width], batch[1, :, :16, :16] = one[0], other[0]
    covered = torch.tensor([[height, width], [16, 16]])
    crop = transforms.centre_crop(batch, 16, covered)
    assert torch.equal(crop[0], transforms.centre_crop(one, 16)[0])
    assert torch.equal(crop[1], other[0])
    boxes = torch.cat(
        [transforms._boxes(covered, (0.2, 1.0), (0.5, 2.0), generator(i)) for i in range(300)]
    ).view(300, 2, 4)
    ends = boxes[:, :, :2] + boxes[:, :, 2:]
    assert (ends <= covered).all() and (ends[:, 0].max(0).values == covered[0]).all()
    bright = torch.where(batch > 0, 255, 0).to(torch.uint8)
    bright[0, :, :height, :width] = bright[1, :, :16, :16] = 255
    train = transforms.TrainTransform(
        [{"name": "random_resized_crop"}, {"name": "flip"}], 16, [0.0] * 3, [1.0] * 3
    )
    assert (train(bright, generator(), covered) == 1.0).all()
    shifted = transforms.TrainTransform([{"name": "shift"}], 16, [0.0] * 3, [1.0] * 3)
    assert (shifted(bright, generator(), covered) == 1.0).all()


def test_boxes_lie_inside_and_keep_to_the_ranges():
    sizes = torch.tensor([200, 300]).expand(5000, 2)
    boxes = transforms._boxes(sizes, (0.1, 0.9), (0.75, 4 / 3), generator()).double()
    tops, lefts, heights, widths = boxes.T
    assert (tops >= 0).all() and (lefts >= 0).all()
    assert (tops + heights <= 200).all() and (lefts + widths <= 300).all()
    share = heights * widths / 60_000
    assert 0.095 < share.min() < 0.12 and 0.88 < share.max() < 0.905
    assert abs(share.mean() - 0.5) < 0.02
    free = share < 0.5  # larger boxes may not have room for every shape
    ratio = (widths / heights)[free]
    assert 0.73 < ratio.min() < 0.77 and 1.29 < ratio.max() < 1.36
    # Every place of a small box is reached: both corners among 5,000 draws.
    assert (tops == 0).any() and (tops + heights == 200).any()


@pytest.mark.parametrize(("height", "width"), [(200, 300), (300, 200)])
def test_a_box_that_would_stick_out_changes_its_shape_and_keeps_its_area(height, width):
    sizes = torch.tensor([height, width]).expand(500, 2)
    boxes = transforms._boxes(sizes, (0.8, 0.8), (0.75, 4 / 3), generator()).double()
    share = boxes[:, 2] * boxes[:, 3] / 60_000
    assert (share - 0.8).abs().max() < 0.005


@pytest.mark.parametrize("size", [12, 40, 64])
def test_both_resizes_are_that_of_pillow(size):
    images = smooth()
    boxes = transforms._boxes(sizes_of(images), (0.1, 1.0), (0.75, 4 / 3), generator())
    together = transforms._resize_together(images, boxes, size)
    one_by_one = transforms.random_resized_crop(
        images, size=size, scale=(0.1, 1.0), generator=generator()
    )
    for image, (top, left, height, width), a, b in zip(
        images, boxes.tolist(), together, one_by_one, strict=True
    ):
        crop = image[:, top : top + height, left : left + width].permute(1, 2, 0).numpy()
        pillow = Image.fromarray(crop).resize((size, size), Image.Resampling.BILINEAR)
        expected = torch.from_numpy(np.array(pillow)).permute(2, 0, 1).int()
        assert (a.int() - expected).abs().max() <= 1
        assert (b.int() - expected).abs().max() <= 1


@pytest.mark.parametrize(
    "ranges", [{"scale": (0.5, 0.1)}, {"scale": (0, 1)}, {"scale": (0.1, 2)}, {"ratio": (2, 1)}]
)
def test_crop_ranges_that_cannot_be(ranges):
    with refused(UsageError):
        transforms.random_resized_crop(noise(), size=4, **ranges, generator=generator())


def test_jitter_by_nothing_is_the_identity_and_factors_are_known(monkeypatch):
    images = noise()
    none = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    assert torch.equal(transforms.color_jitter(images, **none, generator=generator()), images)
    monkeypatch.setattr(transforms, "_uniform", lambda shape, _: torch.ones(shape))
    brighter = transforms.color_jitter(images, **{**none, "brightness": 0.5}, generator=generator())
    expected = (images.float() * 1.5).clamp_max(255).round().byte()
    assert torch.equal(brighter, expected)
    monkeypatch.setattr(transforms, "_uniform", lambda shape, _: torch.zeros(shape))
    grey = transforms.color_jitter(images, **{**none, "saturation": 1.0}, generator=generator())
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])
    flat = transforms.color_jitter(images, **{**none, "contrast": 1.0}, generator=generator())
    assert all(len(image.unique()) == 1 for image in flat)


STEPS = [
    {"name": "color_jitter"},
    {"name": "shift", "pixels": 3},
    {"name": "random_resized_crop", "scale": [0.3, 1.0]},
    {"name": "flip"},
]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_generator_decides_everything(channels):
    transform = TrainTransform(STEPS, 12, MEAN, STD)
    images = noise(channels=channels, height=16, width=16)
    torch.manual_seed(1)
    first = transform(images, generator(3))
    torch.manual_seed(2)
    assert first.shape == (6, 3, 12, 12)
    assert torch.equal(first, transform(images, generator(3)))
    assert not torch.equal(first, transform(images, generator(4)))


def test_without_steps_training_is_testing():
    images = noise(height=16, width=16)
    train = TrainTransform([], 12, MEAN, STD)(images, generator())
    assert torch.equal(train, TestTransform(12, MEAN, STD)(images))


def test_steps_run_in_order_on_stored_pixels_and_the_centre_remains():
    images = noise(channels=1, height=10, width=10)
    transform = TrainTransform([{"name": "shift", "pixels": 2}], 6, *PLAIN)
    moved = transforms.shift(images, pixels=2, generator=generator())
    expected = moved[..., 2:8, 2:8].expand(-1, 3, -1, -1) / 255
    torch.testing.assert_close(transform(images, generator()), expected)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"name": "shfit"}, "no augmentation 'shfit'. Did you mean shift.*color_jitter, flip"),
        ({"pixels": 2}, "no augmentation None"),
        ({"name": "shift", "pixel": 2}, "shift has no parameter 'pixel'. It has: pixels"),
        ({"name": "random_resized_crop", "size": 2}, "no parameter 'size'. It has: scale, ratio"),
    ],
)
def test_steps_that_are_not_offered(step, message):
    with pytest.raises(UsageError, match=message):
        TrainTransform([step], 8, MEAN, STD)


def test_the_known_parameters_are_those_of_the_functions():
    for name, defaults in AUGMENTATIONS.items():
        parameters = inspect.signature(getattr(transforms, name)).parameters.values()
        offered = {p.name: p.default for p in parameters if p.default is not p.empty}
        offered.pop("covered", None)  # of the batch, not of the recipe
        assert offered == defaults
