"""Cars-196 (Stanford Cars): 16,185 photographs of 196 models of cars."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedImage
from dmlbench.data.locations import Found, Layout
from dmlbench.datasets.benchmark import (
    BenchmarkDataset,
    half_by_number,
    inside,
    read_lines,
    whole_number,
)
from dmlbench.datasets.matlab import read_fields, read_mat


class Cars(BenchmarkDataset):
    """The first 98 classes train, the last 98 test, over all images of both folders.

    The set's own training and test folders divide the images of every class, for classification;
    they are put together here.
    Krause, Stark, Deng, Fei-Fei, 3D Object Representations for Fine-Grained Categorization,
    3dRR 2013.
    """

    name = "cars"
    folders = ("stanford_cars", "StanfordCars", "cars196", "CARS196", "Cars196", "cars")
    layouts = (
        Layout(
            "car_ims.tgz and cars_annos.mat",
            {"annotations": ("cars_annos.mat", "car_ims/cars_annos.mat"), "images": ("car_ims/",)},
        ),
        Layout(
            "cars_train, cars_test, devkit and cars_test_annos_withlabels.mat",
            {
                "train": ("devkit/cars_train_annos.mat", "cars_train_annos.mat"),
                "test": (
                    "cars_test_annos_withlabels.mat",
                    "devkit/cars_test_annos_withlabels.mat",
                ),
                "names": ("devkit/cars_meta.mat", "cars_meta.mat"),
                # As archives that were repacked often have it, a folder within the folder.
                "train images": ("cars_train/cars_train/", "cars_train/"),
                "test images": ("cars_test/cars_test/", "cars_test/"),
            },
        ),
        Layout(
            "a folder for each class, names.csv, anno_train.csv and anno_test.csv",
            {
                "train": ("anno_train.csv",),
                "test": ("anno_test.csv",),
                "names": ("names.csv",),
                "train images": ("car_data/car_data/train/", "car_data/train/", "train/"),
                "test images": ("car_data/car_data/test/", "car_data/test/", "test/"),
            },
        ),
    )

    @classmethod
    def _list(cls, found: Found) -> Iterator[ListedImage]:
        which = cls.layouts.index(found.layout)
        yield from (_one_folder, _two_folders, _class_folders)[which](found)


def _one_folder(found: Found) -> Iterator[ListedImage]:
    """All images in car_ims, whose annotations name them with the folder: car_ims/000001.jpg."""
    file = found.parts["annotations"]
    names = _names(read_mat("cars", file, "class_names").tolist(), file)
    rows = read_fields("cars", file, "annotations", "relative_im_path", "class")
    for number, (path, label) in enumerate(rows, 1):
        place = f"annotation {number} of {file.name}"
        image = str(path).rpartition("/")[2]
        yield _image(found.parts["images"], f"car_ims/{image}", image, label, names, place)


def _two_folders(found: Found) -> Iterator[ListedImage]:
    """Images in cars_train and cars_test, both numbered from 1 on: ids carry the folder."""
    file = found.parts["names"]
    names = _names(read_mat("cars", file, "class_names").tolist(), file)
    for part in ("train", "test"):
        file = found.parts[part]
        rows = read_fields("cars", file, "annotations", "fname", "class")
        for number, (image, label) in enumerate(rows, 1):
            place = f"annotation {number} of {file.name}"
            folder = found.parts[f"{part} images"]
            yield _image(folder, f"cars_{part}/{image}", str(image), label, names, place)


def _class_folders(found: Found) -> Iterator[ListedImage]:
    """Images in a folder of their class; the annotations give file, box and class number."""
    file = found.parts["names"]
    names = _names(read_lines("cars", file), file)
    for part in ("train", "test"):
        file = found.parts[part]
        for number, row in enumerate(csv.reader(read_lines("cars", file)), 1):
            place = f"line {number} of {file.name}"
            if len(row) != 6:
                raise DatasetError(f"cars: {place} has {len(row)} columns instead of 6.")
            label = whole_number("cars", row[5], place)
            _require_class(label, names, place)
            # A slash cannot be in the name of a folder: Ram C/V Cargo Van.
            within = f"{names[label - 1].replace('/', '-')}/{row[0]}"
            folder = found.parts[f"{part} images"]
            yield _image(folder, f"cars_{part}/{row[0]}", within, label, names, place)


def _image(
    folder: Path, image_id: str, within: str, label: object, names: Sequence[str], place: str
) -> ListedImage:
    """Return an image of class `label` (from 1), found at `within` in `folder`."""
    _require_class(label, names, place)
    return ListedImage(
        id=image_id,
        label=f"{label:03d} {names[label - 1]}",
        split=half_by_number(label, 98),
        path=inside("cars", folder, within, place),
        place=place,
    )


def _require_class(label: object, names: Sequence[str], place: str) -> None:
    if not isinstance(label, int) or not 1 <= label <= len(names):
        raise DatasetError(
            f"cars: {place}: the class {label!r} is none of the {len(names)} that have a name."
        )


def _names(values: Sequence[object], file: Path) -> list[str]:
    names = [" ".join(str(value).split()) for value in values]
    if not all(names):
        raise DatasetError(f"cars: a class in {file} has no name.")
    return names
