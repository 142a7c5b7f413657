"""Where the files of each set come from: addresses, checksums, and what is to be done by hand.

Checksums are those that torchvision states (flowers, pets; cars up to its release 0.15) and those
that several independent loaders of a set agree on (cub, sop, the single folder of cars). Of other
files none is known here: the sha256 is recorded when they are first had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dmlbench.datasets.getting.archive import Limits

_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class OriginFile:
    """One file of a set.

    urls: addresses to try, in this order; empty where it can only be had by hand.
    checksum: ``md5:...`` or ``sha256:...``; "" where none is known.
    limits: how much an archive may unpack to; None for a file that stays as it is.
    """

    name: str
    urls: tuple[str, ...] = ()
    checksum: str = ""
    limits: Limits | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetOrigin:
    """Everything that makes up a set.

    choices: lists of files, each of which is the whole set; the first is downloaded.
    page: where the set is described, and its terms.
    by_hand: what a user has to do where there is no address.
    """

    choices: tuple[tuple[OriginFile, ...], ...]
    page: str
    by_hand: str = ""


_OXFORD = "https://www.robots.ox.ac.uk/~vgg/data"

ORIGINS: Mapping[str, DatasetOrigin] = {
    "cub": DatasetOrigin(
        page="https://www.vision.caltech.edu/datasets/cub_200_2011/",
        choices=(
            (
                OriginFile(
                    name="CUB_200_2011.tgz",
                    urls=("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",),
                    checksum="md5:97eceeb196236b17998738112f37df78",
                    limits=Limits(4 * _GIB, 50_000),
                ),
            ),
        ),
    ),
    "cars": DatasetOrigin(
        page="https://pytorch.org/vision/stable/generated/torchvision.datasets.StanfordCars.html",
        choices=(
            (
                OriginFile(
                    name="car_ims.tgz",
                    checksum="md5:d5c8f0aa497503f355e17dc7886c3f14",
                    limits=Limits(6 * _GIB, 50_000),
                ),
                OriginFile(name="cars_annos.mat", checksum="md5:b407c6086d669747186bd1d764ff9dbc"),
            ),
            (
                OriginFile(
                    name="cars_train.tgz",
                    checksum="md5:065e5b463ae28d29e77c1b4b166cfe61",
                    limits=Limits(4 * _GIB, 50_000),
                ),
                OriginFile(
                    name="cars_test.tgz",
                    checksum="md5:4ce7ebf6a94d07f1952d94dd34c4d501",
                    limits=Limits(4 * _GIB, 50_000),
                ),
                OriginFile(
                    name="car_devkit.tgz",
                    checksum="md5:c3b158d763b6e2245038c8ad08e45376",
                    limits=Limits(_GIB, 1_000),
                ),
                OriginFile(
                    name="cars_test_annos_withlabels.mat",
                    checksum="md5:b0a2b23655a3edd16d84508592a98d10",
                ),
            ),
        ),
        by_hand="The hosts at Stanford that had these files no longer do. Copies circulate, among "
        "others as Kaggle datasets (jessicali9530/stanford-cars-dataset has cars_train/ and "
        "cars_test/; jutrera/stanford-car-dataset-by-classes-folder has car_data/, names.csv, "
        "anno_train.csv and anno_test.csv), with the devkit and "
        "cars_test_annos_withlabels.mat linked from https://github.com/pytorch/vision/issues/7545",
    ),
    "sop": DatasetOrigin(
        page="https://cvgl.stanford.edu/projects/lifted_struct/",
        choices=(
            (
                OriginFile(
                    name="Stanford_Online_Products.zip",
                    urls=(
                        "https://drive.usercontent.google.com/download"
                        "?id=1TclrpQOF_ullUP99wk_gjGN8pKvtErG8&export=download&confirm=t",
                        "http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
                    ),
                    checksum="md5:7f73d41a2f44250d4779881525aea32e",
                    limits=Limits(8 * _GIB, 500_000),
                ),
            ),
        ),
        by_hand="The first address of the authors, ftp://cs.stanford.edu, no longer answers; the "
        "ones tried here are the copy that they link to from "
        "https://github.com/rksltnl/Deep-Metric-Learning-CVPR16 and their department's server. "
        "Where neither gives it, get the file in a browser from there",
    ),
    "inshop": DatasetOrigin(
        page="https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
        choices=(
            (
                OriginFile(name="img.zip", limits=Limits(16 * _GIB, 200_000)),
                OriginFile(name="list_eval_partition.txt"),
            ),
        ),
        by_hand="The images are on Google Drive, behind the terms of the set's page: open the "
        "page, follow In-shop Clothes Retrieval Benchmark to its folder, and take Img/img.zip "
        "(not img_highres.zip) and Eval/list_eval_partition.txt (called Anno/ in older copies)",
    ),
    "flowers": DatasetOrigin(
        page=f"{_OXFORD}/flowers/102/",
        choices=(
            (
                OriginFile(
                    name="102flowers.tgz",
                    urls=(f"{_OXFORD}/flowers/102/102flowers.tgz",),
                    checksum="md5:52808999861908f626f3c1f4e79d11fa",
                    limits=Limits(2 * _GIB, 20_000),
                ),
                OriginFile(
                    name="imagelabels.mat",
                    urls=(f"{_OXFORD}/flowers/102/imagelabels.mat",),
                    checksum="md5:e0620be6f572b9609742df49c70aed4d",
                ),
            ),
        ),
    ),
    "pets": DatasetOrigin(
        page=f"{_OXFORD}/pets/",
        choices=(
            (
                OriginFile(
                    name="images.tar.gz",
                    urls=(f"{_OXFORD}/pets/data/images.tar.gz",),
                    checksum="md5:5c4f3ee8e5d25df40f4fd59a7f44e54c",
                    limits=Limits(4 * _GIB, 20_000),
                ),
                OriginFile(
                    name="annotations.tar.gz",
                    urls=(f"{_OXFORD}/pets/data/annotations.tar.gz",),
                    checksum="md5:95a8c909bbe2e81eed6a22bccdf3f68f",
                    limits=Limits(2 * _GIB, 50_000),
                ),
            ),
        ),
    ),
}
