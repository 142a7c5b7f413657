"""The embedded dataset: its bytes, its split, its characters, and its drawing step by step."""

import hashlib
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from words import refused

from dmlbench.data.images import DatasetError, check_dataset, fingerprint
from dmlbench.datasets import DATASETS, glyph_render
from dmlbench.datasets.glyph_alphabet import (
    ALIKE,
    FACES,
    candidates,
    code_points,
    keep_distinct,
    likeness,
    load_faces,
)
from dmlbench.datasets.glyphs import DEFAULT_SHA256, Glyphs


@pytest.fixture(scope="module")
def fonts():
    return load_faces()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(cache, monkeypatch):
    monkeypatch.setenv("DMLBENCH_CACHE", str(cache))


@pytest.fixture(scope="module")
def glyphs(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DMLBENCH_CACHE", str(cache))
        return Glyphs()


def test_the_default_is_the_same_bytes_everywhere(glyphs):
    images = np.concatenate([glyphs.train.images, glyphs.test.images])
    assert images.shape == (9600, 1, 32, 32) and images.dtype == np.uint8
    assert hashlib.sha256(images).hexdigest() == DEFAULT_SHA256


def test_the_default_is_sound_and_read_from_the_cache(glyphs):
    check_dataset(glyphs, "glyphs")
    assert len(glyphs.train.class_names) == len(glyphs.test.class_names) == 200
    assert glyphs.gallery is None and glyphs.report == ()
    again = Glyphs()
    assert fingerprint(again) == fingerprint(glyphs)
    assert type(again.train.images) is type(glyphs.train.images) is np.ndarray
    assert glyphs.train.class_names[0].startswith("U+")
    assert glyphs.train.ids[25] == f"{glyphs.train.class_names[1]}/01"


def test_raw_pixels_find_about_one_in_five(glyphs):
    pixels = glyphs.test.images.reshape(len(glyphs.test), -1).astype(np.float32)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    similarity = pixels @ pixels.T
    np.fill_diagonal(similarity, -1)
    hits = glyphs.test.labels[similarity.argmax(axis=1)] == glyphs.test.labels
    assert 0.18 < hits.mean() < 0.25


def test_an_image_depends_on_seed_character_place_and_size_alone():
    few = Glyphs(classes=6, images_per_class=2)
    more = Glyphs(classes=9, images_per_class=14)
    assert more.train.class_names == (few.train.class_names + few.test.class_names)[:5]
    each = more.train.images.reshape(5, 14, 1, 32, 32)
    assert np.array_equal(each[:3, :2].reshape(6, 1, 32, 32), few.train.images)
    assert more.test.images.shape == (4 * 14, 1, 32, 32)
    other = Glyphs(classes=6, images_per_class=2, seed=1)
    assert not set(other.train.class_names) & set(few.train.class_names)
    assert Glyphs(classes=4, images_per_class=2, image_size=20).train.images.shape[2:] == (20, 20)


def test_the_defaults_listed_are_those_of_the_class():
    spec = next(spec for spec in DATASETS if spec.name == "glyphs")
    built = Glyphs(**spec.defaults)
    assert built.train.class_names == Glyphs().train.class_names


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"classes": 3}, "classes must be an integer from 4 to 1614, not 3"),
        ({"classes": 2000}, "from 4 to 1614, not 2000"),
        ({"classes": 40.0}, "not 40.0"),
        ({"images_per_class": 1}, "images_per_class must be an integer from 2"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"seed": True}, "not True"),
        ({"image_size": 4}, "image_size must be an integer from 8"),
    ],
)
def test_values_out_of_range(params, message):
    with pytest.raises(DatasetError, match=message):
        Glyphs(**params)


def test_the_list_of_characters():
    codes = code_points()
    assert len(codes) == 1614 and list(codes) == sorted(set(codes))
    assert ord("A") in codes and ord("Α") not in codes  # Greek Alpha looks like Latin A
    assert not any(unicodedata.category(chr(code)) == "Mn" for code in codes)


def test_every_character_of_the_list_can_be_drawn_in_every_face(fonts):
    for font in fonts:
        assert all(len(font.segments(code)) for code in code_points())


def test_the_list_follows_its_rule_on_a_sample(fonts):
    some = [fonts[0], fonts[5], fonts[11]]
    codes = code_points()
    assert set(codes[::40]) <= set(candidates(fonts[:1]))
    # No two that were kept look alike; a look-alike of a kept one was left out.
    sample = codes[::4]
    alike = np.triu(likeness(some, sample) >= ALIKE, k=1)
    assert not alike.any()
    latin = [ord(c) for c in "AaBEO"]
    twins = [ord(c) for c in "ΑаВЕО"]
    assert keep_distinct(latin + twins, likeness(fonts, latin + twins) >= ALIKE) == latin


def test_a_missing_and_another_font(tmp_path):
    with pytest.raises(DatasetError, match=r"DejaVuSans\.ttf cannot be read .*reinstall"):
        load_faces(tmp_path)
    (tmp_path / "DejaVuSans.ttf").write_bytes(b"another")
    with pytest.raises(DatasetError, match=r"not that of DejaVu 2\.37: sha256 .* expected 3fdf69"):
        load_faces(tmp_path)
    assert len(FACES) == 12


def test_other_bytes_than_expected_are_refused(monkeypatch):
    monkeypatch.setattr("dmlbench.datasets.glyphs.DEFAULT_SHA256", "0" * 64)
    with refused(DatasetError):
        Glyphs()


def test_torch_is_not_needed():
    code = (
        "import sys; from dmlbench.datasets.glyphs import Glyphs;"
        "Glyphs(classes=4, images_per_class=2);"
        "print([m for m in ('torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SQUARE = np.array([[0, 0, 0, 8], [0, 8, 8, 8], [8, 8, 8, 0], [8, 0, 0, 0]]) * 1024


def covered(outline, side_pixels, shift=(0.0, 0.0), grid=8):
    scale = round(side_pixels * 256 * 2**32 / 8192)
    moved = np.round((np.array([shift]) + grid / 2) * 256).astype(np.int64)
    return glyph_render.coverage([outline], np.array([[scale, 0, 0, scale]]), moved, grid)[0] / 1024


def test_coverage_of_a_square_is_its_area():
    expected = np.zeros((8, 8))
    expected[2:6, 2:6] = 1
    assert np.array_equal(covered(SQUARE, 4), expected)
    assert covered(SQUARE, 4, (0.5, 0.25))[3].tolist() == [0, 0, 0.5, 1, 1, 1, 0.5, 0]
    assert covered(SQUARE, 4, (0.5, 0.25))[:, 4].tolist() == [0, 0, 0.75, 1, 1, 1, 0.25, 0]
    assert covered(SQUARE, 4, (0.5, 0.25)).sum() == 16


def test_coverage_of_a_hole_an_overlap_and_a_contour_turned_around():
    inner = SQUARE // 2 + 2048
    hole = np.vstack([SQUARE, inner[:, [2, 3, 0, 1]]])
    assert covered(hole, 4).sum() == 12
    assert covered(np.vstack([SQUARE, inner]), 4).sum() == 16
    assert covered(SQUARE[:, [2, 3, 0, 1]], 4).sum() == 16


def test_coverage_beyond_the_frame_is_cut_off():
    assert covered(SQUARE, 4, (-4, 0))[:, 0].sum() == 4
    assert covered(SQUARE, 4, (-4, 0)).sum() == covered(SQUARE, 4, (4, 0)).sum() == 8
    assert covered(SQUARE, 4, (0, 5)).sum() == 4
    assert covered(SQUARE, 4, (20, 20)).sum() == 0
    assert covered(SQUARE, 100).min() == 1


def test_noise_and_contrast_are_as_stated(fonts):
    outline = fonts[0].segments(ord("."))
    words = glyph_render.random_words(0, ord("."), 300, 32)
    noise = glyph_render._noise(words[:, glyph_render.PARAMETERS :], 32) / 2**14
    assert abs(noise.std() - 17.5) < 0.3 and abs(noise.mean()) < 0.3
    images = glyph_render.render([outline] * 300, words, 32).astype(int)
    corner = np.median(images[:, :4, :4], axis=(1, 2))
    middle = np.median(images[:, 14:18, 14:18], axis=(1, 2))
    assert (np.abs(corner - middle) > 20).mean() > 0.99
    assert 0.35 < (corner > middle).mean() < 0.65


def test_the_blur_keeps_the_sum():
    for level in range(16):
        kernel = glyph_render._blur_kernel(level, 32)
        assert (kernel[8:24].sum(axis=1) == 4096).all()
    sharp = glyph_render._blur_kernel(0, 32)
    assert sharp[5].tolist() == [0] * 10 + [2048, 2048] + [0] * 52
