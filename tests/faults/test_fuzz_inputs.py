"""Image files, folders and values of options, as they come: the right pixels, or a sentence.

DMLBENCH_FUZZ=3000 tries as many of each as that says.
"""

from __future__ import annotations

import io
import os
import traceback
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dmlbench.cli import main
from dmlbench.data.images import DatasetError, check_dataset
from dmlbench.data.rgb import decode_image
from dmlbench.datasets.folder import Folder
from dmlbench.errors import DmlbenchError
from dmlbench.plan.expressions import parse_assignment, parse_call, split_list
from dmlbench.plan.request import Request, configurations_of
from dmlbench.plan.trial_keys import seeds_of
from dmlbench.plugins.loading import load_plugins

EXAMPLES = int(os.environ.get("DMLBENCH_FUZZ", "60"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="DMLBENCH_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
SIDE = 16

# Each mode with the formats that keep all it says, and whether a PNG can say the same.
LOSSLESS = {
    "1": ("BMP", "GIF", "PCX", "PPM", "TGA", "TIFF"),
    "L": ("BMP", "DDS", "GIF", "IM", "JPEG2000", "PCX", "PPM", "SGI", "TGA", "TIFF"),
    "P": ("BMP", "GIF", "IM", "PCX", "TGA", "TIFF"),
    "LA": ("IM", "JPEG2000", "TGA", "TIFF"),
    "RGB": ("BMP", "DDS", "IM", "JPEG2000", "PCX", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
    "RGBA": ("DDS", "IM", "JPEG2000", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
    "I;16": ("IM", "JPEG2000", "PPM", "TIFF"),
    "CMYK": ("IM", "TIFF"),
    "YCbCr": ("IM", "TIFF"),
}


def _image(mode: str, rng: np.random.Generator, width: int, height: int) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 2**16, (height, width)).astype(np.uint16))
    pixels = rng.integers(0, 256, (height, width, 4)).astype(np.uint8)
    pixels[..., 3] = np.where(pixels[..., 3] < 128, 0, 255)
    image = Image.fromarray(pixels)
    if mode in ("LA", "RGBA"):
        return image.convert(mode)
    return image.convert("RGB").convert(mode)


@FUZZ
@given(
    case=st.sampled_from([(mode, form) for mode, forms in LOSSLESS.items() for form in forms]),
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
)
def test_every_mode_decodes_as_its_png(case, seed: int, width: int, height: int) -> None:
    mode, form = case
    image = _image(mode, np.random.default_rng(seed), width, height)
    as_png = image if mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16") else image.convert("RGB")
    encoded, png = io.BytesIO(), io.BytesIO()
    image.save(encoded, form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    as_png.save(png, "PNG")
    found, wanted = (decode_image(data.getvalue(), SIDE).astype(int) for data in (encoded, png))
    assert abs(found - wanted).max() <= 1, case


@FUZZ
@given(
    form=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8)), max_size=4),
    end=st.floats(0, 1),
)
def test_damaged_files_raise_ordinary_errors(form: str, cuts, end: float) -> None:
    buffer = io.BytesIO()
    _image("RGB", np.random.default_rng(0), 20, 20).save(buffer, form)
    data = bytearray(buffer.getvalue())
    for place, content in cuts:
        start = int(place * len(data))
        data[start : start + len(content)] = content
    try:
        found = decode_image(bytes(data[: int(end * len(data)) or 1]), SIDE)
    except Exception:  # noqa: S110 (whatever Pillow raises becomes the reason in the report)
        return
    assert found.shape == (3, SIDE, SIDE) and found.dtype == np.uint8


NAMES = st.one_of(
    st.sampled_from(["train", "test", "query", "gallery", "val", "a", "b", "c", "d", ".x", "0"]),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=8),
)
CONTENT = st.sampled_from(
    ["image", "other image", "empty", "text", "pipe", "loop", "nowhere", "up"]
)


@FUZZ
@given(
    files=st.lists(
        st.tuples(
            st.lists(NAMES, max_size=3),
            st.sampled_from(["x.png", "y.PNG", "z.txt", ".h.png", "w w.jpg", "é\n.gif"]),
            CONTENT,
        ),
        max_size=14,
    ),
    split=st.sampled_from(["auto", "half", "given"]),
)
def test_folders_load_or_say_why_not(tmp_path_factory, monkeypatch_module, files, split) -> None:
    root = tmp_path_factory.mktemp("folder")
    images = []
    for value in (0, 200):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), (value, value, value)).save(buffer, "PNG")
        images.append(buffer.getvalue())
    for parts, name, content in files:
        parts = [part for part in parts if part not in (".", "..")]
        place = root.joinpath(*parts, name)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists() or place.is_symlink():
                continue
            if content == "pipe":
                os.mkfifo(place)
            elif content in ("loop", "nowhere", "up"):
                place.symlink_to({"loop": name, "nowhere": "nowhere", "up": ".."}[content])
            else:
                data = {"image": images[0], "other image": images[1], "empty": b"", "text": b"x"}
                place.write_bytes(data[content])
        except OSError:  # a name that is too long, or that of a file here
            continue
    try:
        dataset = Folder(root=str(root), image_size=8, split=split)
        check_dataset(dataset, "folder")
    except DatasetError as error:
        assert str(error)
        return
    assert not set(dataset.train.class_names) & set(dataset.test.class_names)
    "\n".join(dataset.report).encode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def monkeypatch_module(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DMLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield patch


REGISTRY = load_plugins()
PIECES = st.sampled_from(
    ["triplet", "ms", "arcface", "(", ")", "[", "]", "{", "}", ",", "=", '"', "'", "margin", "0.1",
     "1e999", "-1", "nan", "inf", "true", "none", "9" * 50, "9" * 5000, "*", "2*", "0*", ":", "-",
     "dmlbench:", " ", "\n", "\0", "\x1b", "é", "=", "#", "mining=hard", "triplet(margin=", "\\",
     "params={", "recipe.epochs", "recipe.", "protocol.width", "batch", ".", "..", "1_000", "0x10",
     "1979-05-27", "[1,2", '"""', "cross-batch-memory(loss=", "\ud800"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=7).map("".join) | st.text(max_size=12)


def _says(function, *arguments) -> None:
    try:
        function(*arguments)
    except DmlbenchError as error:
        assert str(error)


@FUZZ
@given(text=TEXTS)
def test_losses_and_values_are_read_or_refused(text: str) -> None:
    for read in (split_list, parse_call, parse_assignment):
        _says(read, text)

    def plan() -> None:
        configurations_of(Request(losses=split_list(text)), REGISTRY)

    _says(plan)


RECIPE_KEYS = st.sampled_from(
    ["epochs", "embedding_dim", "batch.classes", "batch.images", "batch.micro", "batch.sampler",
     "optimizer.backbone_lr", "optimizer.weight_decay", "schedule.name", "input.size", "augment",
     "input.resize", "pretrained", "frozen", "validate_every", "precision", "name", "backbone",
     "optimizer", "", "nope", "summary", "epochs.x", "augment.0"]
)  # fmt: skip
KEYS = RECIPE_KEYS.map("recipe.".__add__) | st.sampled_from(
    ["protocol.width", "protocol.validation_fraction", "x"]
)
VALUES = st.sampled_from(
    [0, -1, 1, 2, 10**6, 10**7, 2**64, -(2**64), 10**400, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324,
     float("nan"), float("inf"), True, False, None, "", "1", "x", "none", [], [1], {}, {"a": 1},
     [{"name": "shift", "pixels": 2}], [{"name": "nope"}], [[]], "\x1b[31m", "x" * 5000]
)  # fmt: skip


@FUZZ
@given(key=KEYS, value=VALUES)
def test_settings_are_taken_or_refused(key: str, value) -> None:
    def plan() -> None:
        for c in configurations_of(Request(losses=["arcface"], overrides={key: value}), REGISTRY):
            assert len(c.entry_id) == 16

    _says(plan)


@FUZZ
@given(
    seeds=st.one_of(
        st.integers(),
        st.lists(st.integers() | st.floats() | st.text(max_size=3) | st.booleans(), max_size=4),
        st.text(max_size=5),
        st.floats(),
    )
)
def test_seeds_are_taken_or_refused(seeds) -> None:
    _says(seeds_of, seeds)


@FUZZ
@given(losses=TEXTS, assignment=TEXTS, seeds=TEXTS)
def test_the_command_line_ends_in_a_sentence(losses: str, assignment: str, seeds: str) -> None:
    for arguments in (["--losses", losses], ["--set", assignment], ["--seeds", seeds]):
        out, err = io.StringIO(), io.StringIO()
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main(["plan", *arguments])
        except SystemExit as stop:
            assert stop.code in (0, 2), (arguments, stop.code)
        except BaseException:
            pytest.fail(f"{arguments}\n{traceback.format_exc()}")
        assert "\x1b" not in err.getvalue() and "\0" not in err.getvalue()
