"""Folders and CSV files of images: each nasty case by name."""

import os
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from words import refused

from dmlbench.data.decode import EXTENSIONS
from dmlbench.data.images import DatasetError, check_dataset, fingerprint
from dmlbench.data.split import half_and_half, hold_out_classes
from dmlbench.datasets import DATASETS
from dmlbench.datasets.folder import Folder
from dmlbench.plan.protocol import Protocol
from dmlbench.plan.recipe import load_recipe, recipe_names


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path) -> Path:
    """Four classes of three images: a and b train, c and d test."""
    for k, name in enumerate("abcd"):
        for i in range(3):
            save(tmp_path / "root" / name / f"{i}.png", 40 * k + i)
    return tmp_path / "root"


def save(path: Path, value: int, side: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(path)


def load(root, **options):
    dataset = Folder(root=str(root), image_size=8, **options)
    check_dataset(dataset, "folder")
    return dataset


def values(images) -> list[int]:
    return images.images[np.arange(len(images))].max(axis=(1, 2, 3)).tolist()


def write(root: Path, text: str, name: str = "list.csv", **options) -> str:
    (root / name).write_text(text, encoding="utf-8", **options)
    return name


ALL = [(f"{name}/{i}.png", name) for name in "abcd" for i in range(3)]


def rows(split=None, but=()) -> str:
    """A CSV file of all images; `split` gives the split of a class, `but` leaves paths out."""
    lines = ["path,label" + (",split" if split else "")]
    for path, label in ALL:
        if path not in but:
            lines.append(f"{path},{label}" + (f",{split(path)}" if split else ""))
    return "\n".join(lines) + "\n"


def test_a_directory_of_class_directories(root):
    dataset = load(root)
    assert dataset.train.class_names == ("a", "b") and dataset.test.class_names == ("c", "d")
    assert dataset.train.ids == ("a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png")
    assert dataset.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert values(dataset.train) == [0, 1, 2, 40, 41, 42]
    assert values(dataset.test) == [80, 81, 82, 120, 121, 122]
    assert dataset.gallery is None and dataset.report == ()
    assert dataset.train.images[np.array([4, 0])].shape == (2, 3, 8, 8)


def test_the_defaults_listed_are_those_of_the_class(root):
    spec = next(spec for spec in DATASETS if spec.name == "folder")
    with refused(DatasetError, "folder(root=PATH)"):
        Folder(**spec.defaults)


def test_a_root_that_is_no_directory(root):
    with refused(DatasetError, str(root)):
        load(root / "nowhere")
    with refused(DatasetError, str(root)):
        load(root / "a" / "0.png")


def test_a_split_that_is_not_offered(root):
    with refused(DatasetError, "'third'", "auto", "half", "given"):
        load(root, split="third")


def test_the_order_on_disk_does_not_matter(root, tmp_path, monkeypatch):
    (root / "a").rename(root / "Z")
    forward = load(root)
    original = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(sorted(original(self))))
    backward = load(root)
    assert forward.train.class_names == ("Z", "b")  # by code point, capitals first
    assert fingerprint(forward) == fingerprint(backward)
    assert forward.train.ids == backward.train.ids


def test_the_fingerprint_knows_the_content_but_not_the_place(root, tmp_path):
    first = fingerprint(load(root))
    shutil.copytree(root, tmp_path / "elsewhere")
    assert fingerprint(load(tmp_path / "elsewhere")) == first
    save(tmp_path / "elsewhere" / "a" / "1.png", 200)
    assert fingerprint(load(tmp_path / "elsewhere")) != first


def test_a_changed_image_is_decoded_again(root):
    load(root)
    save(root / "a" / "1.png", 200, side=30)
    assert values(load(root).train) == [0, 200, 2, 40, 41, 42]


def test_names_in_either_normal_form_of_unicode_are_one(root, tmp_path):
    for form in ("NFC", "NFD"):
        copy = tmp_path / form
        shutil.copytree(root, copy)
        (copy / "a").rename(copy / unicodedata.normalize(form, "é"))
    assert fingerprint(load(tmp_path / "NFC")) == fingerprint(load(tmp_path / "NFD"))
    assert load(tmp_path / "NFD").test.class_names[-1] == "\u00e9"


def test_images_deeper_inside_a_class_and_links(root):
    save(root / "a" / "x" / "y" / "9.png", 9)
    os.symlink(root / "a", root / "a" / "loop", target_is_directory=True)
    os.symlink(root / "b" / "0.png", root / "b" / "link.png")
    dataset = load(root)
    assert dataset.train.ids[3] == "a/x/y/9.png" and len(dataset.train) == 8
    assert dataset.report == (
        "1 image is also in the same class (same file content; kept): b/link.png = b/0.png",
    )


def test_other_files_hidden_files_and_empty_directories(root):
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / ".hidden.png").write_text("x")
    (root / ".git" / "x").mkdir(parents=True)
    (root / "empty").mkdir()
    save(root / "stray.png", 7)
    dataset = load(root)
    assert len(dataset.train) == 6 and dataset.train.class_names == ("a", "b")
    assert dataset.report == (
        "2 files are no image of a class directory and passed over: stray.png, a/notes.txt",
        "1 directory holds no image and is no class: empty",
    )


def test_corrupt_and_empty_images_are_left_out_and_named(root):
    save(root / "a" / "3.png", 3)
    (root / "a" / "0.png").write_bytes(b"")
    (root / "c" / "1.png").write_bytes((root / "c" / "1.png").read_bytes()[:45])
    dataset = load(root)
    assert dataset.train.ids[:3] == ("a/1.png", "a/2.png", "a/3.png")
    assert dataset.test.ids[:3] == ("c/0.png", "c/2.png", "d/0.png")
    assert values(dataset.test)[:3] == [80, 82, 120]
    assert len(dataset.report) == 1
    assert dataset.report[0].startswith("2 images could not be decoded and were left out: a/0.png")
    assert "(the file is empty), c/1.png (" in dataset.report[0]


def test_a_class_lost_to_corruption_is_named_and_moves_no_other_class(root):
    for name in "ef":
        for i in range(2):
            save(root / name / f"{i}.png", 200 + i)
    before = load(root)
    assert before.train.class_names == ("a", "b", "c")
    for i in range(3):
        (root / "a" / f"{i}.png").write_bytes(b"broken")
    dataset = load(root)
    assert dataset.train.class_names == ("b", "c")
    assert dataset.test.class_names == before.test.class_names
    assert "1 class was lost with its images: a" in dataset.report


def test_a_class_of_one_image_is_left_out_of_training_and_kept_in_testing(root):
    for name in ("aa", "zz"):
        save(root / name / "only.png", 250)
    dataset = load(root)
    assert dataset.train.class_names == ("a", "b") and "aa/only.png" not in dataset.train.ids
    assert dataset.test.class_names == ("c", "d", "zz") and "zz/only.png" in dataset.test.ids
    assert dataset.report[:2] == (
        "1 training class has one image and no pair to learn from, left out: aa",
        "1 test class has one image, kept but never queried: zz",
    )


def test_an_empty_folder(tmp_path):
    (tmp_path / "nothing").mkdir()
    with refused(DatasetError, "nothing", "CLASS"):
        load(tmp_path / "nothing")


def test_images_beside_each_other_without_class_directories(tmp_path):
    save(tmp_path / "flat" / "0.png", 0)
    with refused(DatasetError, "flat"):
        load(tmp_path / "flat")


@pytest.mark.parametrize(("gone", "count"), [("bcd", "1 class "), ("d", "3 classes ")])
def test_one_class_or_three(root, gone, count):
    for name in gone:
        shutil.rmtree(root / name)
    with refused(DatasetError, str(count), "4"):
        load(root)


def test_the_same_image_in_training_and_testing_is_counted(root):
    shutil.copy(root / "a" / "0.png", root / "d" / "copy.png")
    shutil.copy(root / "a" / "1.png", root / "b" / "copy.png")
    dataset = load(root)
    assert dataset.report == (
        "1 image is seen in training under another class (same file content; kept): "
        "d/copy.png = a/0.png",
        "1 image is also in another class (same file content; kept): b/copy.png = a/1.png",
    )


def in_splits(root: Path, **splits: str) -> Path:
    for split, names in splits.items():
        for name in names:
            shutil.copytree(root / name, root.parent / "given" / split / name)
    return root.parent / "given"


def test_directories_train_and_test(root):
    given = in_splits(root, train="bd", test="ac", other="a")
    for split in ("auto", "given"):
        dataset = load(given, split=split)
        assert dataset.train.class_names == ("b", "d") and dataset.test.class_names == ("a", "c")
        assert dataset.train.ids[0] == "train/b/0.png"
        assert dataset.report == ("1 directory is beside the splits and passed over: other",)


def test_directories_train_query_and_gallery(root):
    given = in_splits(root, train="ab", query="cd", gallery="cd")
    dataset = load(given)
    assert dataset.test.ids[0] == "query/c/0.png" and dataset.gallery.ids[0] == "gallery/c/0.png"
    assert dataset.test.class_names == dataset.gallery.class_names == ("c", "d")


def test_a_class_directory_in_train_and_in_test(root):
    given = in_splits(root, train="abc", test="cd")
    with refused(DatasetError, "'c'", "train/c/0.png", "test/c/0.png"):
        load(given)


def test_a_given_split_that_is_not_there(root):
    with refused(DatasetError, "train", "test"):
        load(root, split="given")


def test_class_directories_that_are_called_train_and_test(root):
    (root / "a").rename(root / "train")
    (root / "b").rename(root / "test")
    assert load(root).train.class_names == ("c", "d")


def test_a_csv_without_splits_is_halved(root):
    dataset = load(root, csv=write(root, rows()))
    assert dataset.train.class_names == ("a", "b") and len(dataset.test) == 6
    assert fingerprint(dataset) == fingerprint(load(root))


def test_a_csv_with_splits_quotes_spaces_and_a_byte_order_mark(root):
    (root / "c").rename(root / "c, the third")
    text = "\ufeffpath, label ,split\n"
    for path, label in ALL:
        path = path.replace("c/", "c, the third/")
        text += f'"./{path}", {label} ,{"train" if label in "ac" else "test"}\n\n'
    dataset = load(root, csv=write(root, text))
    assert dataset.train.class_names == ("a", "c") and dataset.test.class_names == ("b", "d")
    assert dataset.train.ids[3] == "c, the third/0.png"
    halved = load(root, csv="list.csv", split="half")
    assert halved.train.class_names == ("a", "b")


def test_a_csv_with_queries_and_a_gallery(root):
    split = {"a": "train", "b": "train"}
    text = rows(lambda p: split.get(p[0]) or ("query" if "0" in p else "gallery"))
    dataset = load(root, csv=write(root, text))
    assert dataset.test.ids == ("c/0.png", "d/0.png") and len(dataset.gallery) == 4
    assert dataset.test.class_names == dataset.gallery.class_names == ("c", "d")
    assert dataset.report == ()  # a class with one query is no class of one image


def test_a_csv_in_the_working_directory(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(root, csv=write(tmp_path, rows())).train.class_names == ("a", "b")


ANY = "a/0.png,a,"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'path'.*it names: nothing"),
        ("file,label\na/0.png,a\n", "no column 'path'.*it names: file, label"),
        ("path,class\na/0.png,a\n", "no column 'label'"),
        ("path,label\n", "lists no image"),
        ("path,label\na/0.png,a\n,b\n", "line 3: the path is empty"),
        ("path,label\na/0.png,\n", "line 2: the label is empty"),
        ("path,label\na/0.png\n", "line 2: the label is empty"),
        ("path,label\na/0.png,a,b\n", "line 2 has more cells than there are columns"),
        (f"path,label,split\n{ANY}valid\n", "line 2: the split is 'valid'. Allowed: train, test"),
        (f"path,label,split\n{ANY}\n", "line 2: the split is ''"),
        (f"path,label,split\n{ANY}train\n", "has the splits train. It needs train and test"),
        (f"path,label,split\n{ANY}train\nb/0.png,b,query\n", "query, train. It needs"),
        ("path,label\n../x.png,a\n", "line 2: ../x.png leads out of root"),
        ("path,label\na/../../x.png,a\n", "leads out of root"),
        ("path,label\n/etc/x.png,a\n", "line 2: /etc/x.png leads out of root"),
        ("path,label\na/9.png,a\n", r"1 file is not in .*: a/9\.png \(line 2\)"),
        ("path,label\na\\9.png,a\n", "Write paths with forward slashes"),
        ('path,label\n"a/0.png,a\n', "is not a CSV file in UTF-8"),
        (rows() + "a/1.png,a\n", r"a/1\.png is listed twice \(line 3 and line 14\)"),
        (rows() + "b/../a/1.png,b\n", r"a/1\.png is listed twice \(line 3 and line 14\)"),
        (
            rows(lambda p: "test" if p > "b/1" else "train"),
            r"class 'b' is in train \(line 5: b/0\.png\) and in test \(line 6: b/1\.png\)",
        ),
    ],
)
def test_csv_files_that_are_refused(root, text, message):
    with pytest.raises(DatasetError, match=message):
        load(root, csv=write(root, text))


def test_a_csv_that_is_not_there_or_not_text(root):
    with refused(DatasetError, "none.csv"):
        load(root, csv="none.csv")
    with refused(DatasetError, "0.png"):
        load(root, csv="a/0.png")
    with refused(DatasetError, "split"):
        load(root, csv=write(root, rows()), split="given")


def test_long_lists_of_names_are_cut_and_counted(root):
    for i in range(15):
        (root / "a" / f"bad{i:02d}.png").write_bytes(b"")
    line = load(root).report[0]
    assert line.startswith("15 images could not be decoded") and line.endswith("and 5 more")


PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text("utf-8")


def test_the_csv_files_of_the_docs(tmp_path):
    plain, gallery = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    for text in (plain, gallery):
        for i, path in enumerate(re.findall(r"^(\S+\.jpg),", text, re.MULTILINE)):
            save(tmp_path / path, i)
    dataset = load(tmp_path, csv=write(tmp_path, gallery))
    assert dataset.train.class_names == ("ant", "bee") and dataset.report == ()
    assert dataset.test.ids == ("0005.jpg", "0007.jpg")
    assert dataset.gallery.ids == ("0006.jpg", "0008.jpg")
    with refused(DatasetError, "ant, bee, wild"):
        load(tmp_path, csv=write(tmp_path, plain))


def test_the_docs_name_every_ending_of_an_image():
    (sentence,) = re.findall(r"Images end in (.*?), in either case", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\.\w+)`", sentence)) == EXTENSIONS


def test_the_docs_say_how_many_classes_each_recipe_needs():
    table = re.findall(r"^\| (`\w+`.*?) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    rows = {name: [*map(int, row)] for names, *row in table for name in re.findall(r"\w+", names)}
    assert set(rows) == set(recipe_names())
    for name, (batch, training, whole) in rows.items():
        assert load_recipe(name).batch.classes == batch
        left = []
        for count in (training - 1, training):
            labels = np.repeat(np.arange(count), 2)
            kept, _ = hold_out_classes(labels, Protocol().validation_fraction, seed=0)
            left.append(len(kept) // 2)
        assert left[0] < batch <= left[1]
        names = [f"{i:03}" for i in range(whole)]
        assert len(half_and_half(names)[0]) == training > len(half_and_half(names[1:])[0])
