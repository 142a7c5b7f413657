"""plugins/template and ``dmlbench plugin new``: one source, and packages that work as they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from dmlbench.cli import main
from dmlbench.errors import UsageError
from dmlbench.plugins.loading import load_plugins
from dmlbench.plugins.scaffold import NewPlugin

TEMPLATE = Path(__file__).parents[2] / "plugins" / "template"


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    shown = capsys.readouterr()
    return stop.value.code, shown.out, shown.err


def test_the_template_is_what_new_plugin_writes():
    files = NewPlugin("alignment-uniformity", "dmlbench-template").files()
    forms = ("*.py", "*.md", "*.toml", "*.yml", "LICENSE")
    sources = [path for form in forms for path in TEMPLATE.rglob(form)]
    found = {path.relative_to(TEMPLATE).as_posix(): path.read_text("utf-8") for path in sources}
    assert found == files, "run dmlbench plugin new alignment-uniformity; see docs/plugins.md"


#: Kind -> the command that uses what is called {}.
KINDS = {
    "loss": "dmlbench run --losses {},triplet",
    "combiner": "dmlbench run --losses triplet,ms --combiner {}",
    "dataset": "dmlbench run --dataset {} --losses triplet,ms",
    "backbone": "dmlbench run --backbone {} --losses triplet,ms",
    "tracker": "DMLBENCH_SOFT_TRACKER_DIR=log dmlbench run --losses triplet,ms",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_own_tests_and_the_check(tmp_path, install_package, capsys, kind):
    folder = tmp_path / "mine"
    name = f"soft-{kind}"  # each has modules of its own: all are imported by this process
    code, out, err = call(capsys, "plugin", "new", name, "--kind", kind, "--to", folder)
    assert code == 0 and err == ""
    assert f"  {KINDS[kind].format(name)}\n" in out and "  dmlbench plugin check " in out
    install_package(folder)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b[3-9] passed", done.stdout)
    code, out, _ = call(capsys, "plugin", "check", f"dmlbench-{name}")
    checked = f"dmlbench-{name}:{name} 0.1.0, {kind}"
    assert code == 0 and (kind == "tracker" or checked in out), out
    assert "skipped  images" not in out and "skipped  features" not in out, out


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_of_a_new_plugin_is_filled_in(kind):
    for path, text in NewPlugin("soft-pull", "ourlab-things", kind).files().items():
        assert {*re.findall(r"\$(\w*)", text)} <= {"DMLBENCH"}, path  # the workflow's own
        assert max(map(len, text.splitlines()), default=0) <= 110 or path.endswith(".yml"), path
        if path.endswith(".py"):
            compile(text, path, "exec")


def test_names_of_a_new_plugin(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, "plugin", "new", "soft-pull-2", "--json")
    written = json.loads(out)
    assert code == 0 and written["folder"] == written["distribution"] == "dmlbench-soft-pull-2"
    assert "dmlbench_soft_pull_2/loss.py" in written["files"]
    folder = tmp_path / "dmlbench-soft-pull-2"
    assert "class SoftPull2Loss(" in (folder / "dmlbench_soft_pull_2" / "loss.py").read_text()
    assert '2 = "dmlbench_soft_pull_2.plugin"' in (folder / "pyproject.toml").read_text()
    assert (written["name"], written["kind"]) == ("soft-pull-2", "loss")


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "loss.py").write_text("mine")
    code, _, err = call(capsys, "plugin", "new", "soft-pull", "--to", tmp_path)
    assert code == 2 and "is there already" in err
    assert [*tmp_path.iterdir()] == [tmp_path / "loss.py"]
    code, _, err = call(capsys, "plugin", "new", "soft-pull", "--to", tmp_path / "loss.py")
    assert code == 2 and (tmp_path / "loss.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["Soft", "soft_pull", "2soft", "soft--pull", "../soft", "-soft"])
def test_a_name_that_cannot_be_is_refused(tmp_path, capsys, name):
    code, _, err = call(capsys, "plugin", "new", "--to", tmp_path / "new", "--", name)
    assert code == 2 and "cannot be named" in err
    assert not (tmp_path / "new").exists()


def test_the_metadata_of_a_new_plugin_says_license_author_source_and_bound():
    files = NewPlugin("soft-pull", "ourlab-losses").files()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["license"] == "MIT" and project["license-files"] == ["LICENSE"]
    assert files["LICENSE"].startswith("MIT License\n\nCopyright (c) YEAR YOUR NAME\n")
    assert "dmlbench>=0.1" in project["dependencies"]
    assert project["authors"] == [{"name": "YOUR NAME"}]
    assert project["urls"]["Source"].endswith("/ourlab-losses")
    ours = (Path(__file__).parents[2] / "LICENSE").read_text("utf-8")
    assert files["LICENSE"].split("\n\n", 2)[2] == ours.split("\n\n", 2)[2]


def test_the_workflow_of_a_new_plugin_installs_it_and_runs_tests_and_check():
    files = NewPlugin("soft-pull", "ourlab-losses").files()
    workflow = yaml.safe_load(files[".github/workflows/tests.yml"])
    runs = [step["run"] for step in workflow["jobs"]["tests"]["steps"] if "run" in step]
    assert runs[0].endswith('"$DMLBENCH" -e ".[test]"') and workflow["env"]["DMLBENCH"]
    assert runs[1:] == ["pytest", "dmlbench plugin check ourlab-losses"]
    # YAML 1.1 reads "on" as true.
    assert {"push", "pull_request"} == set(workflow[True])


def test_a_name_that_another_loss_has_is_noted(tmp_path, capsys, install_package):
    folder = tmp_path / "new"
    code, out, err = call(capsys, "plugin", "new", "triplet", "--to", folder)
    assert code == 0 and "dmlbench has a loss triplet as well" in err
    assert "say dmlbench-triplet:triplet" in err
    assert "  dmlbench plugin check dmlbench-triplet:triplet\n" in out
    assert "  dmlbench run --losses dmlbench-triplet:triplet,ms\n" in out
    assert "--losses dmlbench-triplet:triplet,ms\n" in (folder / "README.md").read_text("utf-8")
    install_package(folder)
    names = ["dmlbench-triplet:triplet", "ms"]
    found = [load_plugins().resolve("losses", name).distribution for name in names]
    assert found == ["dmlbench-triplet", "dmlbench"]
    with pytest.raises(UsageError, match="offered by 2 distributions"):
        load_plugins().resolve("losses", "triplet")
    _, _, err = call(capsys, "plugin", "new", "triplet", "--to", tmp_path / "again")
    assert "dmlbench-triplet has" not in err


def test_a_name_that_a_combiner_has_is_noted(tmp_path, capsys):
    code, out, err = call(capsys, "plugin", "new", "learned", "--to", tmp_path / "new")
    assert code == 0 and "dmlbench has a combiner learned as well" in err
    assert "dmlbench plugin check dmlbench-learned:learned\n" in out


@pytest.mark.slow
def test_the_template_installed_by_pip_is_listed_and_checked(tmp_path):
    """In processes of their own, which see nothing but what pip wrote."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(TEMPLATE), str(copy)], check=True)  # building writes into it
    subprocess.run([*command, "--no-build-isolation", "--target", str(site), str(copy)], check=True)
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    dmlbench = [sys.executable, "-m", "dmlbench"]
    listed, checked = (
        subprocess.run(
            [*dmlbench, *arguments, "--json"],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for arguments in (["list", "losses"], ["plugin", "check", "dmlbench-template"])
    )
    rows = {row["id"]: row["version"] for row in json.loads(listed)}
    assert rows["dmlbench-template:alignment-uniformity"] == "0.1.0"
    assert json.loads(checked)["failed"] == 0
