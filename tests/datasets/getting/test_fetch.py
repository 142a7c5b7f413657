"""`data get`: every set in its original files from a local server, and what goes wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading

import pytest
from words import refused

from dmlbench.data.images import DatasetError
from dmlbench.data.locations import place_of
from dmlbench.datasets.getting import download as download_module
from dmlbench.datasets.getting import fetch as module
from dmlbench.datasets.getting.archive import ArchiveError, Limits
from dmlbench.datasets.getting.download import ChecksumError, DownloadError
from dmlbench.datasets.getting.fetch import fetch
from dmlbench.datasets.getting.origins import ORIGINS
from dmlbench.datasets.getting.verify import benchmark, names
from dmlbench.errors import UsageError


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    *others, _ = download_module.download.__defaults__
    quick = (*others, lambda seconds: None)
    monkeypatch.setattr(download_module.download, "__defaults__", quick)


@pytest.fixture
def serve(web, small, monkeypatch):
    """Serve a small set's original files; its origin then names them, with their checksums."""

    def call(name: str, layout: int = 0, checksums: bool = True, urls: bool = True):
        files = small.original_files(name, layout)
        web.files.update(files)
        origin = ORIGINS[name]
        choices = tuple(
            tuple(
                dataclasses.replace(
                    file,
                    urls=(web.url + file.name,) if urls else (),
                    checksum=(
                        "md5:" + hashlib.md5(files[file.name]).hexdigest()
                        if checksums and file.name in files
                        else ""
                    ),
                )
                for file in choice
            )
            for choice in origin.choices
        )
        served = dataclasses.replace(origin, choices=choices[layout : layout + 1])
        monkeypatch.setitem(module.ORIGINS, name, served)
        return files

    return call


@pytest.mark.parametrize(("name", "layout"), [*((name, 0) for name in names()), ("cars", 1)])
def test_every_set_from_its_original_files(serve, web, tmp_path, small, name, layout):
    files = serve(name, layout)
    place = fetch(name)
    assert place == tmp_path / "data" / name
    dataset = benchmark(name)(image_size=8)
    make = small.cars_two_folders if layout else small.files
    direct = small.write(make() if layout else make(name), tmp_path / "direct")
    assert dataset.train.ids == benchmark(name)(root=str(direct), image_size=8).train.ids
    # Archives go once they are unpacked; nothing unfinished stays.
    left = {path.name for path in place.iterdir()}
    assert not {n for n in left if n.endswith((".tgz", ".gz", ".zip", ".part"))}
    assert not {n for n in left if n.startswith(".")}
    record = json.loads((place / "downloads.json").read_text())
    wanted = {file.name for file in module.ORIGINS[name].choices[0]}
    assert set(record) == wanted
    for file in wanted:
        assert record[file]["sha256"] == hashlib.sha256(files[file]).hexdigest()
        assert record[file]["url"] == web.url + file
    web.asked.clear()
    said = []
    fetch(name, say=said.append)
    assert web.asked == [] and said == [f"{name} is there already: {place}"]


def test_an_interrupted_download_goes_on(serve, web, tmp_path):
    files = serve("cub")
    web.cut = [1000, *[0] * 20]
    with refused(DownloadError, "1,000", "CUB_200_2011.tgz"):
        fetch("cub")
    with refused(DatasetError, "cub"):
        benchmark("cub").find()
    web.cut.clear()
    web.asked.clear()
    place = fetch("cub")
    assert web.asked == [("CUB_200_2011.tgz", "bytes=1000-")]
    assert (place / "CUB_200_2011/images.txt").is_file() and len(files["CUB_200_2011.tgz"]) > 1000


def test_a_wrong_checksum_leaves_nothing(serve, web, tmp_path):
    serve("cub")
    web.files["CUB_200_2011.tgz"] += b"x"
    with pytest.raises(ChecksumError, match="but the file should have md5:"):
        fetch("cub")
    assert list((tmp_path / "data" / "cub").iterdir()) == []


def test_the_second_address_where_the_first_is_dead_or_lies(serve, web, monkeypatch):
    serve("cub")
    (file,) = module.ORIGINS["cub"].choices[0]
    web.files["lie/CUB_200_2011.tgz"] = b"something else"
    urls = (web.url + "gone/a.tgz", web.url + "lie/CUB_200_2011.tgz", *file.urls)
    choices = ((dataclasses.replace(file, urls=urls),),)
    monkeypatch.setitem(
        module.ORIGINS, "cub", dataclasses.replace(module.ORIGINS["cub"], choices=choices)
    )
    record = json.loads((fetch("cub") / "downloads.json").read_text())
    assert record["CUB_200_2011.tgz"]["url"] == urls[2]


def test_a_truncated_archive_without_a_checksum_is_not_unpacked(serve, web, tmp_path):
    serve("cub", checksums=False)
    web.length = False
    web.cut = [len(web.files["CUB_200_2011.tgz"]) // 2]
    with refused(ArchiveError, "CUB_200_2011.tgz"):
        fetch("cub")
    place = tmp_path / "data" / "cub"
    assert {p.name for p in place.iterdir()} == {"CUB_200_2011.tgz", "downloads.json"}


def test_a_hostile_archive_leaves_nothing_outside_or_inside(serve, web, small, tmp_path):
    serve("cub", checksums=False)
    files = {**small.cub(), "CUB_200_2011/../../../evil": b"x"}
    web.files["CUB_200_2011.tgz"] = small.pack(files, "CUB_200_2011")
    with refused(ArchiveError, "CUB_200_2011/../../.."):
        fetch("cub")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "data" / "cub" / "CUB_200_2011").exists()


def test_a_bomb_is_bounded_by_the_sets_own_limit(serve, web, small, monkeypatch, tmp_path):
    serve("cub", checksums=False)
    (file,) = module.ORIGINS["cub"].choices[0]
    choices = ((dataclasses.replace(file, limits=Limits(1_000_000, 50_000)),),)
    monkeypatch.setitem(
        module.ORIGINS, "cub", dataclasses.replace(module.ORIGINS["cub"], choices=choices)
    )
    files = {**small.cub(), "CUB_200_2011/bomb": bytes(2_000_000)}
    web.files["CUB_200_2011.tgz"] = small.pack(files, "CUB_200_2011")
    with refused(ArchiveError, "CUB_200_2011/bomb", "1,000,000"):
        fetch("cub")
    assert not (tmp_path / "data" / "cub" / "CUB_200_2011").exists()


@pytest.mark.parametrize("name", ["cars", "inshop"])
def test_what_can_only_be_had_by_hand_is_named_then_taken(serve, small, tmp_path, web, name):
    files = serve(name, checksums=name == "cars", urls=False)
    with pytest.raises(DownloadError) as caught:
        fetch(name)
    text = str(caught.value)
    assert all(file in text for file in files) and str(tmp_path / "data" / name) in text
    assert not (tmp_path / "data" / name).exists()
    place = small.write(files, tmp_path / "data" / name)
    said = []
    fetch(name, say=said.append)
    assert benchmark(name)(image_size=8).train.ids and web.asked == []
    # What the user put there stays.
    assert all((place / file).is_file() for file in files)
    assert any("sha256" in line for line in said) == (name == "inshop")


def test_the_real_cars_name_both_choices(tmp_path):
    with pytest.raises(DownloadError) as caught:
        fetch("cars", str(tmp_path / "mine"))
    text = str(caught.value)
    assert "car_ims.tgz and cars_annos.mat, or cars_train.tgz and cars_test.tgz" in text
    assert str(tmp_path / "mine") in text and not (tmp_path / "mine").exists()


def test_a_wrong_file_of_the_users_is_refused_and_left(serve, small, tmp_path):
    files = serve("cars", urls=False)
    files["cars_annos.mat"] += b"x"
    place = small.write(files, tmp_path / "data" / "cars")
    with refused(ChecksumError, "cars_annos.mat"):
        fetch("cars")
    assert (place / "cars_annos.mat").read_bytes() == files["cars_annos.mat"]


def test_trust_on_first_use(serve, web, small, tmp_path):
    serve("inshop", checksums=False)
    said = []
    place = fetch("inshop", say=said.append)
    assert any("no published checksum is known" in line for line in said)
    (place / "list_eval_partition.txt").unlink()
    web.files["list_eval_partition.txt"] += b"\n"
    with refused(ChecksumError, "downloads.json", "list_eval_partition.txt"):
        fetch("inshop")
    assert not (place / "list_eval_partition.txt").exists()
    web.files["list_eval_partition.txt"] = small.inshop()["list_eval_partition.txt"]
    fetch("inshop")


def test_mirrors_by_folder_by_name_and_by_file(serve, web, tmp_path):
    files = serve("flowers", urls=False)
    web.files.update({f"mirror/{name}": content for name, content in files.items()})
    fetch("flowers", str(tmp_path / "a"), [web.url + "mirror/"])
    web.files["odd"] = files["102flowers.tgz"]
    urls = [f"102flowers.tgz={web.url}odd?x=1", web.url + "mirror/imagelabels.mat"]
    fetch("flowers", str(tmp_path / "b"), urls)
    assert benchmark("flowers")(root=str(tmp_path / "b"), image_size=8).train.ids
    with refused(UsageError, "flowers", "102flowers.tgz"):
        fetch("flowers", str(tmp_path / "c"), [web.url + "odd"])


def test_a_set_of_one_file_takes_any_address(serve, web, tmp_path):
    web.files["x"] = serve("cub", urls=False)["CUB_200_2011.tgz"]
    assert (fetch("cub", urls=[web.url + "x"]) / "CUB_200_2011").is_dir()


def test_archives_are_kept_on_request(serve, tmp_path):
    serve("cub")
    assert (fetch("cub", keep=True) / "CUB_200_2011.tgz").is_file()


def test_what_the_user_has_is_remembered_and_not_touched(small, tmp_path, web):
    mine = small.write(small.cub(), tmp_path / "mine")
    before = sorted(mine.rglob("*"))
    assert fetch("cub", str(mine)) == mine
    assert sorted(mine.rglob("*")) == before and place_of("cub") == mine
    assert len(benchmark("cub")(image_size=8).train) == 4


def test_folders_of_other_origin_are_never_overwritten(serve, tmp_path):
    serve("pets")
    place = tmp_path / "data" / "pets"
    (place / "images").mkdir(parents=True)
    (place / "images" / "mine.txt").write_text("mine")
    with refused(DatasetError, "images"):
        fetch("pets")
    assert (place / "images" / "mine.txt").read_text() == "mine"
    assert not (place / ".unpacking-images.tar.gz").exists()


def test_an_interruption_between_unpacking_and_moving_is_mended(serve, web, tmp_path, monkeypatch):
    serve("pets")
    real, calls = os.rename, []

    def rename(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(module.os, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        fetch("pets")
    monkeypatch.setattr(module.os, "rename", real)
    web.asked.clear()
    place = fetch("pets")
    assert web.asked == [], "what was downloaded is not asked for again"
    assert benchmark("pets")(root=str(place), image_size=8).train.ids


def test_two_processes_do_not_write_the_same_files(serve, tmp_path):
    serve("cub")
    place = tmp_path / "data" / "cub"
    place.mkdir(parents=True)
    with module._locked(place):
        errors = []

        def other():
            try:
                fetch("cub")
            except DownloadError as error:
                errors.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "Another process" in errors[0]
    fetch("cub")


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}'])
def test_a_damaged_record_is_named(serve, tmp_path, text):
    serve("cub")
    place = tmp_path / "data" / "cub"
    place.mkdir(parents=True)
    (place / "downloads.json").write_text(text)
    with refused(DatasetError, "downloads.json"):
        fetch("cub")


def test_a_folder_that_cannot_be_made(serve, tmp_path):
    serve("cub")
    (tmp_path / "file").write_text("")
    with refused(DownloadError, "--root", "DMLBENCH_DATA"):
        fetch("cub", str(tmp_path / "file" / "below"))


def test_an_unknown_set():
    with refused(UsageError, "imagenet", "cub, cars, sop, inshop, flowers, pets"):
        fetch("imagenet")


def test_the_checksums_are_those_that_torchvision_states():
    flowers = pytest.importorskip("torchvision.datasets").Flowers102
    from torchvision.datasets import OxfordIIITPet

    known = {name: md5 for name, md5 in flowers._file_dict.values()}
    for file in ORIGINS["flowers"].choices[0]:
        assert file.checksum == f"md5:{known[file.name]}"
        assert file.urls == (flowers._download_url_prefix + file.name,)
    resources = [(file.urls[0], file.checksum) for file in ORIGINS["pets"].choices[0]]
    assert resources == [(url, f"md5:{md5}") for url, md5 in OxfordIIITPet._RESOURCES]


def test_every_checksum_is_well_formed_and_every_archive_is_bounded():
    for origin in ORIGINS.values():
        for file in (file for choice in origin.choices for file in choice):
            kind, _, value = file.checksum.partition(":")
            assert not file.checksum or (kind == "md5" and len(value) == 32 and int(value, 16))
            assert (file.limits is None) == file.name.endswith((".mat", ".txt"))
        if not any(all(file.urls for file in choice) for choice in origin.choices):
            assert origin.by_hand
    assert list(ORIGINS) == names()
