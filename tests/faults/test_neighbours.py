"""Neighbours of the faults on the page: the same kind, in another command or field."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dmlbench import hookspecs
from dmlbench.errors import PluginError
from dmlbench.plugins.spec_checks import check_spec


@pytest.mark.parametrize(
    "arguments",
    [
        "leaderboard verify ^", "leaderboard audit ^ --name me",
        "leaderboard show --leaderboards ^", "leaderboard show --plot ^", "leaderboard site ^",
        "leaderboard bundle --to ^", "run --leaderboards ^", "plan --config ^", "plan --write ^",
        "evaluate ^", "embed x ^ --out y", "reproduce x --scratch ^", "study plan ^",
        "study run ^", "study report ^",
    ],
)  # fmt: skip
def test_row_39_an_empty_path_is_refused_by_every_command(call, arguments) -> None:
    given = ["" if word == "^" else word for word in arguments.split()]
    code, _, err = call(*given)
    assert code == 2 and "an empty path names nothing" in err, err


@pytest.mark.parametrize("command", ["plan", "run", "tune"])
def test_row_22_options_are_not_read_from_a_pipe(call, command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "options.toml")
    code, _, err = call(command, "--config", str(tmp_path / "options.toml"))
    assert code == 2 and "is not a regular file" in err


@pytest.mark.parametrize("target", [".trials", "nowhere"])
def test_row_16_trials_that_are_a_link_to_no_folder_are_named(call, tmp_path, target) -> None:
    (tmp_path / ".trials").symlink_to(target)
    small = ["--dataset", "glyphs(classes=8,images_per_class=4)", "--combiner", "none"]
    code, _, err = call(
        "run", "--losses", "ms", "--set", "recipe.batch.classes=2", *small, "--jobs", "1",
        "--leaderboards", str(tmp_path),
    )  # fmt: skip
    assert code == 2 and f".trials is a link to {target}, which leads to no folder" in err


def test_row_29_pillow_says_nothing_of_damaged_exif_data(tmp_path: Path) -> None:
    """It decides whether to warn where the module is imported, so in a program of its own."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + b"\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0" * 2
    Image.new("RGB", (8, 8)).save(tmp_path / "damaged.jpg", exif=exif)
    warned = f"from PIL import Image; Image.open({str(tmp_path / 'damaged.jpg')!r}).getexif()"
    ours = (
        f"from pathlib import Path; from dmlbench.data.decode import decode_image; "
        f"print(decode_image(Path({str(tmp_path / 'damaged.jpg')!r}).read_bytes(), 8).shape)"
    )
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        for code in (warned, ours)
    ]
    assert "EXIF" in said[0].stderr, "the file is damaged in a way that Pillow warns of"
    assert (said[1].stdout, said[1].stderr) == ("(3, 8, 8)\n", "")


class Odd:
    """Can be neither shown nor compared."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def __eq__(self, other):
        raise RuntimeError("no eq")

    __hash__ = None


#: Values that no field of a spec may have.
ODD = [Odd(), object(), 5.5, -1, b"b", [None], {5: 1}, float("nan")]
KINDS = [hookspecs.LossSpec, hookspecs.CombinerSpec, hookspecs.DatasetSpec, hookspecs.BackboneSpec]


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field.name) for kind in KINDS for field in dataclasses.fields(kind)],
)
def test_row_19_a_spec_with_any_odd_field_is_its_plugins_fault(kind, field) -> None:
    given = {"name": "a", "target": "module:Class", "summary": "S", "defaults": {"p": 1}}
    check_spec(kind(**given), kind, "the plugin")
    for value in ODD:
        with pytest.raises(PluginError, match="the plugin returned a bad "):
            check_spec(kind(**{**given, field: value}), kind, "the plugin")


@pytest.mark.parametrize("value", [None, 5, True, "1", (), (0, 1), (1, True), (1, 2.0)])
def test_row_19_the_ks_of_a_dataset_are_whole_numbers(value) -> None:
    spec = hookspecs.DatasetSpec(name="a", target="m:C", summary="S", recall_at=value)
    with pytest.raises(PluginError, match="recall_at must be positive whole numbers"):
        check_spec(spec, hookspecs.DatasetSpec, "the plugin")
