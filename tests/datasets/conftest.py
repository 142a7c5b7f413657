"""The field's datasets in small: the files of each, in every layout that it is found in."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("DMLBENCH_DATA", str(tmp_path / "data"))


def jpeg(number: int) -> bytes:
    """An image that no other number gives."""
    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def mat(**values: object) -> bytes:
    file = io.BytesIO()
    savemat(file, values)
    return file.getvalue()


def struct(**columns: list) -> np.ndarray:
    """A struct array (1, n) as MATLAB writes it."""
    array = np.empty((1, len(next(iter(columns.values())))), [(name, object) for name in columns])
    for name, values in columns.items():
        for i, value in enumerate(values):
            array[name][0, i] = value
    return array


def cub(classes=(99, 100, 101, 102), each=2) -> Files:
    """Classes around the border between training and test, images of both in any order."""
    paths = [(f"{c:03d}.Bird_{c}/Bird_{c}_{i:04d}.jpg", c) for i in range(each) for c in classes]
    files = {f"CUB_200_2011/images/{p}": jpeg(n) for n, (p, _) in enumerate(paths)}
    lists = {
        "images.txt": [f"{n} {p}" for n, (p, _) in enumerate(paths, 1)],
        "image_class_labels.txt": [f"{n} {c}" for n, (_, c) in enumerate(paths, 1)],
        # By images, not classes: whoever reads it trains on test classes.
        "train_test_split.txt": [f"{n} {n % 2}" for n in range(1, len(paths) + 1)],
        "classes.txt": [f"{c} {c:03d}.Bird_{c}" for c in classes],
    }
    files.update({f"CUB_200_2011/{n}": ("\n".join(x) + "\n").encode() for n, x in lists.items()})
    files["attributes.txt"] = b"1 has_bill_shape::curved\n"
    return files


def _car_names() -> np.ndarray:
    names = np.empty((1, 196), object)
    names[0] = [f"Make Model {n} 2012" for n in range(1, 197)]
    names[0, 98] = "Ram C/V Cargo Van 2012"
    return names


_CARS = (1, 98, 99, 196)


def cars_one_folder() -> Files:
    paths = [f"car_ims/{n:06d}.jpg" for n in range(1, 9)]
    labels = [c for c in _CARS for _ in range(2)]
    annotations = struct(
        relative_im_path=paths, bbox_x1=[1] * 8, test=[n % 2 for n in range(8)], **{"class": labels}
    )
    annos = mat(annotations=annotations, class_names=_car_names())
    return {"cars_annos.mat": annos, **{p: jpeg(n) for n, p in enumerate(paths)}}


def cars_two_folders() -> Files:
    """Each class has an image in either folder; both folders number theirs from 1 on."""
    names = [f"{n:05d}.jpg" for n in range(1, 5)]
    annotations = struct(bbox_x1=[1] * 4, **{"class": list(_CARS)}, fname=names)
    files = {
        "devkit/cars_meta.mat": mat(class_names=_car_names()),
        "devkit/cars_train_annos.mat": mat(annotations=annotations),
        # As in the original, without classes: of no use here.
        "devkit/cars_test_annos.mat": mat(annotations=struct(bbox_x1=[1] * 4, fname=names)),
        "cars_test_annos_withlabels.mat": mat(annotations=annotations),
    }
    for n, name in enumerate(names):
        files[f"cars_train/{name}"] = jpeg(2 * n)
        files[f"cars_test/{name}"] = jpeg(2 * n + 1)
    return files


def cars_class_folders() -> Files:
    names = _car_names()[0]
    files = {"names.csv": "".join(f"{name}\n" for name in names).encode()}
    for k, part in enumerate(("train", "test")):
        files[f"anno_{part}.csv"] = "".join(
            f"{n:05d}.jpg,39,116,569,375,{c}\n" for n, c in enumerate(_CARS, 1)
        ).encode()
        for n, c in enumerate(_CARS):
            folder = names[c - 1].replace("/", "-")
            files[f"car_data/car_data/{part}/{folder}/{n + 1:05d}.jpg"] = jpeg(2 * n + k)
    return files


def sop() -> Files:
    """Three products train, two test: halving five classes would give another split."""
    files, lines, n = {}, {"train": [], "test": []}, 0
    for product in (1, 2, 3, 11319, 11320):
        split = "train" if product < 11319 else "test"
        for i in range(2):
            path = f"{('bicycle', 'chair')[i]}_final/{product}_{i}.JPG"
            n += 1
            files[f"Stanford_Online_Products/{path}"] = jpeg(n)
            lines[split].append(f"{n} {product} {i + 1} {path}")
    for split, rows in lines.items():
        text = "\n".join(["image_id class_id super_class_id path", *rows]) + "\n"
        files[f"Stanford_Online_Products/Ebay_{split}.txt"] = text.encode()
    return files


def inshop() -> Files:
    rows, files = [], {}
    for item in range(1, 6):
        for i in range(4):
            status = "train" if item <= 2 else ("query", "gallery")[i % 2]
            path = f"img/WOMEN/Dresses/id_{item:08d}/0{i}_1_front.jpg"
            rows.append(f"{path}   id_{item:08d}   {status}")
            files[path] = jpeg(10 * item + i)
    text = "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows]) + "\n"
    return {**files, "list_eval_partition.txt": text.encode()}


_FLOWERS = (52, 1, 51, 102, 51, 1, 102, 52)


def flowers() -> Files:
    files = {f"jpg/image_{n:05d}.jpg": jpeg(n) for n in range(1, len(_FLOWERS) + 1)}
    labels = np.array([_FLOWERS], np.uint8)
    # By images, not classes: whoever reads it trains on test classes.
    sets = mat(trnid=np.array([[1, 2]]), valid=np.array([[3]]), tstid=np.array([[4, 5, 6]]))
    return {**files, "imagelabels.mat": mat(labels=labels), "setid.mat": sets}


_PETS = {
    "Abyssinian": 1,
    "american_bulldog": 2,
    "Maine_Coon": 20,
    "newfoundland": 19,
    "Persian": 21,
}


def pets() -> Files:
    """Numbers that are not in the order of the names; one image that the list does not list."""
    files: Files = {"images/Abyssinian_100.mat": b"box"}
    lines = ["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", "#Total: 37"]
    for breed, number in _PETS.items():
        for i in (1, 34, 100):
            files[f"images/{breed}_{i}.jpg"] = jpeg(1000 * number + i)
            if (breed, i) != ("Abyssinian", 34):
                lines.append(f"{breed}_{i} {number} 1 1")
    files["annotations/list.txt"] = "\n".join(lines).encode()
    files["annotations/trainval.txt"] = b"Abyssinian_1 1 1 1\nMaine_Coon_1 20 1 1\n"
    files["annotations/test.txt"] = b"Abyssinian_100 1 1 1\nMaine_Coon_100 20 1 1\n"
    files["annotations/trimaps/._Abyssinian_1.png"] = b"mac"
    return files


SMALL: dict[str, Callable[[], Files]] = {
    "cub": cub,
    "cars": cars_one_folder,
    "sop": sop,
    "inshop": inshop,
    "flowers": flowers,
    "pets": pets,
}


def write(files: Files, root: Path) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def pack(files: Files, *tops: str, form: str = "tgz") -> bytes:
    """Return an archive of the files below the folders (or files) `tops`, and of these folders."""
    chosen = {n: c for n, c in files.items() if n.split("/")[0] in tops}
    file = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in chosen.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for folder in sorted({name.rpartition("/")[0] for name in chosen} - {""}):
                info = tarfile.TarInfo(folder)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            for name, content in chosen.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def original_files(name: str, layout: int = 0) -> Files:
    """The files of a small set as the set's own host offers them."""
    files = (cars_two_folders if (name, layout) == ("cars", 1) else SMALL[name])()
    packed = {
        ("cub", 0): {"CUB_200_2011.tgz": ("CUB_200_2011", "attributes.txt")},
        ("cars", 0): {"car_ims.tgz": ("car_ims",)},
        ("cars", 1): {
            "cars_train.tgz": ("cars_train",),
            "cars_test.tgz": ("cars_test",),
            "car_devkit.tgz": ("devkit",),
        },
        ("sop", 0): {"Stanford_Online_Products.zip": ("Stanford_Online_Products",)},
        ("inshop", 0): {"img.zip": ("img",)},
        ("flowers", 0): {"102flowers.tgz": ("jpg",)},
        ("pets", 0): {"images.tar.gz": ("images",), "annotations.tar.gz": ("annotations",)},
    }[name, layout]
    single = {n: c for n, c in files.items() if "/" not in n and n != "attributes.txt"}
    archives = {
        archive: pack(files, *tops, form="zip" if archive.endswith("zip") else "tgz")
        for archive, tops in packed.items()
    }
    return {**single, **archives}


class Small:
    """What the tests of this folder make small sets with."""

    names = tuple(SMALL)
    jpeg, mat, struct, write, pack = map(staticmethod, (jpeg, mat, struct, write, pack))
    cub, sop, inshop, flowers, pets = map(staticmethod, (cub, sop, inshop, flowers, pets))
    cars_one_folder, cars_two_folders, cars_class_folders = map(
        staticmethod, (cars_one_folder, cars_two_folders, cars_class_folders)
    )
    original_files = staticmethod(original_files)

    @staticmethod
    def files(name: str) -> Files:
        return SMALL[name]()


@pytest.fixture
def small() -> type[Small]:
    return Small
