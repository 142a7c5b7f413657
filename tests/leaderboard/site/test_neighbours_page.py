"""The page of neighbours of embeddings from anywhere: the right pictures, marked right or wrong."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dmlbench.cli import cli
from dmlbench.errors import UsageError
from dmlbench.leaderboard.site.neighbours import sample_queries
from dmlbench.leaderboard.site.neighbours_page import read_image_list
from dmlbench.running.embed_folder import image_files

COUNT = 40


@pytest.fixture
def scene(tmp_path):
    """40 embeddings of 8 classes, each with an image of its own grey."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 5)
    rows = generator.normal(size=(8, 4))[labels] + generator.normal(size=(COUNT, 4))
    np.save(tmp_path / "rows.npy", rows)
    lines = ["path,label"]
    for i, label in enumerate(labels):
        folder = tmp_path / "images" / f"c{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 20), (6 * i,) * 3).save(folder / f"{i:02}.png")
        lines.append(f"images/c{label}/{i:02}.png,<c{label}>")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    return tmp_path, rows, labels


def evaluate(scene, *more):
    folder = scene[0]
    given = ["evaluate", str(folder / "rows.npy"), "--labels", str(folder / "list.csv")]
    given += ["--no-clustering", "--resamples", "100", "--images"]
    return CliRunner().invoke(cli, [*given, *more])


class Rows(HTMLParser):
    """Lists of a page: of each picture its class attribute, its grey / 6 and its text."""

    def __init__(self, text):
        super().__init__()
        self.rows = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "ul":
            self.rows.append([])
        elif tag == "li":
            self.rows[-1].append([attributes.get("class"), None, ""])
        elif tag == "img":
            content = base64.b64decode(attributes["src"].partition(",")[2])
            with Image.open(io.BytesIO(content)) as image:
                assert image.size == (128, 256)
                self.rows[-1][-1][1] = round(image.getpixel((60, 60))[0] / 6)

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1][2] += data


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("images", ["list.csv", "images"])
def test_each_row_shows_a_query_and_its_nearest_images(scene, similarity, images):
    folder, rows, labels = scene
    page = folder / "page.html"
    result = evaluate(
        scene, str(folder / images), "--neighbours", str(page), "--similarity", similarity
    )
    assert result.exit_code == 0, result.output
    shown = Rows(page.read_text("utf-8")).rows
    assert len(shown) == 10
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for number, ((_, query, text), *found) in enumerate(shown):
        if similarity == "cosine":
            values, order = unit @ unit[query], np.argsort(-(unit @ unit[query]))
        else:
            values = np.linalg.norm(rows - rows[query], axis=1)
            order = np.argsort(values)
        nearest = [i for i in order if i != query][:8]
        assert [picture for _, picture, _ in found] == nearest
        assert f"<c{labels[query]}>" in text
        for (kind, picture, text), item in zip(found, nearest, strict=True):
            right = labels[item] == labels[query]
            assert kind == ("right" if right else "wrong") and ("✓" in text) == right
            assert f"{values[item]:.3f}" in text and f"{picture:02}.png" in text
        assert (labels[nearest[0]] == labels[query]) == (number < 5)


def test_a_gallery_of_another_file_is_shown_with_its_own_images(scene):
    folder, rows, labels = scene
    np.savez(
        folder / "gallery.npz", embeddings=rows[::-1], labels=[f"<c{n}>" for n in labels[::-1]]
    )
    lines = (folder / "list.csv").read_text().splitlines()[:0:-1]
    (folder / "gallery.txt").write_text("\n".join(line.partition(",")[0] for line in lines))
    page = folder / "page.html"
    result = evaluate(
        scene, str(folder / "images"), "--neighbours", str(page), "--gallery",
        str(folder / "gallery.npz"), "--gallery-images", str(folder / "gallery.txt"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    shown = Rows(page.read_text("utf-8")).rows
    # In another set the nearest of each is itself.
    assert len(shown) == 5 and all(query[1] == found[0][1] for query, *found in shown)
    assert "None of the 40 queries looked at." in page.read_text("utf-8")


def test_the_images_of_a_folder_are_in_the_order_in_which_embed_takes_them(scene):
    folder = scene[0] / "images"
    (folder / ".hidden").mkdir()
    Image.new("L", (2, 2)).save(folder / ".hidden" / "no.png")
    Image.new("L", (2, 2)).save(folder / "C0.PNG")
    assert read_image_list(folder, COUNT + 1) == image_files(folder)


@pytest.mark.parametrize(
    "more, message",
    [
        (["{}/images"], "belong together"),
        (["{}/images", "--neighbours", "{}/p.png"], r"must end in .html"),
        (["{}/images/c0", "--neighbours", "{}/p.html"], "5 images for 40 embeddings"),
        (["{}/rows.npy", "--neighbours", "{}/p.html"], "not a list of images"),
        (["{}/none.txt", "--neighbours", "{}/p.html"], "cannot be read"),
        (["{}/bad.csv", "--neighbours", "{}/p.html"], "needs a column path"),
        (["{}/gone.txt", "--neighbours", "{}/p.html"], "There is no image"),
        (["{}/text.txt", "--neighbours", "{}/p.html"], "cannot be decoded"),
        (["{}/images", "--neighbours", "{}/p.html", "--gallery-images", "{}/images"],
         "needs a gallery"),
        (["{}/images", "--neighbours", "{}/p.html", "--gallery", "{}/rows.npy",
          "--gallery-labels", "{}/list.csv"], "give its images"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_is_written(scene, more, message):
    folder = scene[0]
    (folder / "bad.csv").write_text("file\na.png\n")
    (folder / "gone.txt").write_text("none.png\n" * COUNT)
    (folder / "text.txt").write_text("list.csv\n" * COUNT)
    result = evaluate(scene, *[part.format(folder) for part in more])
    assert isinstance(result.exception, UsageError) and re.search(message, str(result.exception))
    assert not (folder / "p.html").exists()


def test_distances_are_those_between_rows():
    generator = np.random.default_rng(1)
    rows, labels = generator.normal(size=(30, 3)), np.arange(30) % 3
    right, wrong, _ = sample_queries(rows, labels, metric="euclidean")
    for query in (*right, *wrong):
        distances = np.linalg.norm(rows - rows[query.index], axis=1)
        for item in query.neighbours:
            assert -item.similarity == pytest.approx(distances[item.index])
