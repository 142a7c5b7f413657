"""The field's datasets: their splits, in every layout, and what is wrong with a damaged one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from words import refused

from dmlbench.data.images import DatasetError, check_dataset, fingerprint
from dmlbench.data.locations import place_of
from dmlbench.datasets import DATASETS
from dmlbench.datasets.getting.record import remember_place
from dmlbench.datasets.getting.verify import benchmark, names
from dmlbench.datasets.published import PUBLISHED

SPECS = {spec.name: spec for spec in DATASETS}


def load(name: str, root: Path | None = None):
    dataset = benchmark(name)(root=str(root) if root else None, image_size=8)
    check_dataset(dataset, name)
    return dataset


def classes(dataset) -> tuple[set[str], set[str]]:
    return set(dataset.train.class_names), set(dataset.test.class_names)


# The table of the method's description, written out: name, images, classes, split, K.
METHOD = """
cub     11,788   100     100     -               1,2,4,8
cars    16,185   98      98      -               1,2,4,8
sop     120,053  11,318  11,316  59,551/60,502   1,10,100,1000
inshop  52,712   3,997   3,985   -/14,218/12,612 1,10,20,30
flowers 8,189    51      51      -               1,2,4,8
pets    7,390    19      18      -               1,2,4,8
"""


@pytest.mark.parametrize("row", METHOD.strip().splitlines(), ids=lambda row: row.split()[0])
def test_the_published_numbers_and_k_are_those_of_the_method(row):
    name, images, train, test, split, ks = row.split()
    counts = PUBLISHED[name]

    def number(text: str) -> int:
        return int(text.replace(",", ""))

    assert counts.images == number(images)
    assert (counts.train_classes, counts.test_classes) == (number(train), number(test))
    given = (counts.train_images, counts.test_images, counts.gallery_images)
    for text, value in zip(split.split("/"), given, strict=False):
        if text != "-":
            assert value == number(text)
    assert SPECS[name].recall_at == tuple(int(k) for k in ks.split(","))


def test_the_numbers_add_up_and_every_set_has_a_spec():
    assert len(METHOD.strip().splitlines()) == len(PUBLISHED) == len(names())
    for name, counts in PUBLISHED.items():
        assert SPECS[name].defaults == {"root": None} and SPECS[name].reference
        if counts.train_images:
            total = counts.train_images + counts.test_images + counts.gallery_images
            assert total == counts.images, name


def test_cub_by_class_number_never_by_its_split_of_images(small, tmp_path):
    dataset = load("cub", small.write(small.cub(), tmp_path / "root"))
    assert classes(dataset) == ({"099.Bird_99", "100.Bird_100"}, {"101.Bird_101", "102.Bird_102"})
    assert dataset.train.ids == tuple(
        f"{c:03d}.Bird_{c}/Bird_{c}_{i:04d}.jpg" for c in (99, 100) for i in range(2)
    )
    assert dataset.test.labels.tolist() == [0, 0, 1, 1] and dataset.gallery is None
    assert dataset.report[0] == "not the published cub: 8 images instead of 11,788"


def test_cars_over_both_folders_in_every_layout(small, tmp_path):
    wanted = (
        {"001 Make Model 1 2012", "098 Make Model 98 2012"},
        {"099 Ram C/V Cargo Van 2012", "196 Make Model 196 2012"},
    )
    pixels = []
    for make in (small.cars_one_folder, small.cars_two_folders, small.cars_class_folders):
        root = small.write(make(), tmp_path / make.__name__)
        dataset = load("cars", root)
        assert classes(dataset) == wanted
        assert len(dataset.train) == len(dataset.test) == 4
        images = dataset.train.images[np.arange(4)]
        pixels.append(
            {(n, images[i].tobytes()) for i, n in enumerate(dataset.train.labels.tolist())}
        )
    # The same photograph has the same class whatever the layout calls its file.
    assert pixels[0] == pixels[1] == pixels[2]


def test_cars_with_folders_in_folders_and_lists_beside(small, tmp_path):
    files = small.cars_two_folders()
    moved = {
        re.sub(r"^cars_(\w+)/", r"cars_\1/cars_\1/", name).removeprefix("devkit/"): content
        for name, content in files.items()
    }
    nested = load("cars", small.write(moved, tmp_path / "nested"))
    plain = load("cars", small.write(files, tmp_path / "plain"))
    assert fingerprint(nested) == fingerprint(plain)


def test_cars_without_labels_of_the_test_folder_say_what_is_missing(small, tmp_path):
    files = small.cars_two_folders()
    del files["cars_test_annos_withlabels.mat"]
    with refused(DatasetError, "cars_test_annos_withlabels.mat"):
        load("cars", small.write(files, tmp_path / "root"))
    # The file of the devkit has no classes; under the other name it is still of no use.
    files["cars_test_annos_withlabels.mat"] = files["devkit/cars_test_annos.mat"]
    with refused(DatasetError, "class"):
        load("cars", small.write(files, tmp_path / "root"))


def test_sop_by_its_lists_never_by_half(small, tmp_path):
    dataset = load("sop", small.write(small.sop(), tmp_path / "root"))
    assert classes(dataset) == ({"00001", "00002", "00003"}, {"11319", "11320"})
    assert "bicycle_final/1_0.JPG" in dataset.train.ids


def test_inshop_queries_against_a_gallery(small, tmp_path):
    dataset = load("inshop", small.write(small.inshop(), tmp_path / "root"))
    test = {f"id_{n:08d}" for n in (3, 4, 5)}
    assert classes(dataset) == ({"id_00000001", "id_00000002"}, test)
    assert len(dataset.train) == 8 and len(dataset.test) == len(dataset.gallery) == 6
    assert dataset.gallery.class_names == dataset.test.class_names
    assert all("/00_" in i or "/02_" in i for i in dataset.test.ids)
    assert all("/01_" in i or "/03_" in i for i in dataset.gallery.ids)


def test_flowers_by_label_never_by_its_split_of_images(small, tmp_path):
    dataset = load("flowers", small.write(small.flowers(), tmp_path / "root"))
    assert classes(dataset) == ({"001", "051"}, {"052", "102"})
    assert dataset.train.ids == tuple(f"jpg/image_{n:05d}.jpg" for n in (2, 3, 5, 6))
    assert dataset.train.labels.tolist() == [0, 1, 1, 0]


def test_pets_by_number_with_the_images_that_no_list_names(small, tmp_path):
    dataset = load("pets", small.write(small.pets(), tmp_path / "root"))
    train = {"01 Abyssinian", "02 american_bulldog", "19 newfoundland"}
    assert classes(dataset) == (train, {"20 Maine_Coon", "21 Persian"})
    assert "images/Abyssinian_34.jpg" in dataset.train.ids and len(dataset.train) == 9


MOVES = [
    ("cub", lambda n: n.removeprefix("CUB_200_2011/")),
    ("cub", lambda n: f"CUB_200_2011/{n}"),
    ("cars", lambda n: f"stanford_cars/{n}"),
    ("sop", lambda n: n.removeprefix("Stanford_Online_Products/")),
    ("inshop", lambda n: f"Eval/{n}" if n.startswith("list") else n),
    ("inshop", lambda n: f"Anno/{n}" if n.startswith("list") else f"Img/{n}"),
    ("inshop", lambda n: n if n.startswith("list") else n.replace("img/", "Img/")),
    ("inshop", lambda n: f"In-shop Clothes Retrieval Benchmark/{n}"),
    ("flowers", lambda n: f"flowers-102/{n}"),
    ("pets", lambda n: f"oxford-iiit-pet/{n}"),
    ("pets", lambda n: n.replace("annotations/list.txt", "list.txt")),
]


@pytest.mark.parametrize(("name", "move"), MOVES)
def test_the_same_set_is_the_same_wherever_its_files_lie(small, tmp_path, name, move):
    files = small.files(name)
    plain = load(name, small.write(files, tmp_path / "plain"))
    moved = load(name, small.write({move(n): c for n, c in files.items()}, tmp_path / "moved"))
    assert fingerprint(moved) == fingerprint(plain)
    assert moved.train.ids == plain.train.ids


@pytest.mark.parametrize("name", names())
def test_without_data_the_ways_out_are_named(tmp_path, name):
    with pytest.raises(DatasetError) as caught:
        load(name)
    text = str(caught.value)
    assert str(tmp_path / "data" / name) in text and "DMLBENCH_DATA" in text
    assert f"dmlbench data get {name}" in text and "--root DIR" in text
    (tmp_path / "empty").mkdir()
    with refused(DatasetError, "empty"):
        load(name, tmp_path / "empty")


@pytest.mark.parametrize("name", names())
def test_each_missing_part_is_named(small, tmp_path, name):
    layout = benchmark(name).layouts[0]
    root = small.write(small.files(name), tmp_path / "root")
    found = benchmark(name).find(str(root))
    for part, path in found.parts.items():
        away = tmp_path / "away"
        path.rename(away)
        with refused(DatasetError, layout.parts[part][0]):
            load(name, root)
        away.rename(path)
    load(name, root)


@pytest.mark.parametrize("name", names())
def test_a_listed_image_that_is_not_there_is_an_error(small, tmp_path, name):
    root = small.write(small.files(name), tmp_path / "root")
    dataset = benchmark(name)
    listed = dataset.listed(dataset.find(str(root)))
    item = next(i for i in listed if "34" not in i.id)
    item.path.unlink()
    with refused(DatasetError, f"1 of the {len(listed)} images", item.id):
        load(name, root)


@pytest.mark.parametrize("name", names())
def test_lists_of_another_kind_are_refused_with_their_name(small, tmp_path, name):
    root = small.write(small.files(name), tmp_path / "root")
    found = benchmark(name).find(str(root))
    for path in found.parts.values():
        if path.is_file():
            content = path.read_bytes()
            for wrong in (b"\x00\xff\xfe not a list", b"", b"one two three four five six seven\n"):
                path.write_bytes(wrong)
                with pytest.raises(DatasetError) as caught:
                    load(name, root)
                assert name in str(caught.value)
            path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "match"),
    [
        ("cub", "CUB_200_2011/images.txt", "099.Bird_99/B", "../../B", "another class"),
        ("cub", "CUB_200_2011/images.txt", "/Bird_99_0000", "/../../../x", "leads out"),
        ("cub", "CUB_200_2011/image_class_labels.txt", "1 99", "1 98", "another class than 98"),
        ("cub", "CUB_200_2011/image_class_labels.txt", "1 99", "1 x", "whole number"),
        ("cub", "CUB_200_2011/image_class_labels.txt", "1 99\n", "", "has no class"),
        ("sop", "Stanford_Online_Products/Ebay_train.txt", "image_id", "id", "line 1 of"),
        ("sop", "Stanford_Online_Products/Ebay_train.txt", "_final/1_0", "/../../x", "leads out"),
        ("sop", "Stanford_Online_Products/Ebay_test.txt", " 11319 ", " 1 ", "Test classes must"),
        ("inshop", "list_eval_partition.txt", "20\n", "21\n", "21 images, but it lists 20"),
        ("inshop", "list_eval_partition.txt", "train\n", "val\n", "'val' should be one of"),
        ("pets", "annotations/list.txt", "Abyssinian_1 1", "Abyssinian_1 2", "earlier lines"),
        ("pets", "annotations/list.txt", "newfoundland", "terranova", "of no breed|not in"),
    ],
)
def test_a_list_that_contradicts_itself(small, tmp_path, name, file, old, new, match):
    files = small.files(name)
    text = files[file].decode()
    assert old in text
    files[file] = text.replace(old, new).encode()
    with pytest.raises(DatasetError, match=match):
        load(name, small.write(files, tmp_path / "root"))


def test_a_set_is_looked_for_where_it_was_remembered(small, tmp_path, monkeypatch):
    assert place_of("cub") == tmp_path / "data" / "cub"
    mine = small.write(small.cub(), tmp_path / "mine")
    remember_place("cub", mine)
    assert place_of("cub") == mine and place_of("sop") == tmp_path / "data" / "sop"
    assert len(load("cub").train) == 4
    assert place_of("cub", tmp_path / "other") == tmp_path / "other"
    remember_place("cub", tmp_path / "data" / "cub")
    assert place_of("cub") == tmp_path / "data" / "cub"
    monkeypatch.delenv("DMLBENCH_DATA")
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))
    assert place_of("cub") == tmp_path / "cache" / "data" / "cub"
    monkeypatch.setenv("DMLBENCH_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "places.json").write_text("[1")
    with pytest.raises(DatasetError, match=r"places\.json.*cannot be read"):
        place_of("cub")


def test_a_row_does_not_depend_on_the_folder(small, tmp_path):
    one = load("cub", small.write(small.cub(), tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert fingerprint(one) == fingerprint(load("cub", tmp_path / "two"))
