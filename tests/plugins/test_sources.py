"""The source hash covers a target's own modules, found without running them."""

from __future__ import annotations

import sys

import pytest

from dmlbench.plugins.sources import module_file, own_imports, own_modules, source_sha256


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "pkgsrc"
    (root / "deep").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "deep" / "__init__.py").write_text("")
    (root / "loss.py").write_text("import json\nfrom .deep import pairs\nclass Loss: pass\n")
    (root / "deep" / "pairs.py").write_text("import pkgsrc.masks\n")
    (root / "masks.py").write_text("raise RuntimeError('never executed')\n")
    (root / "other.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "pkgsrc"]:
        del sys.modules[name]


def digest(target="pkgsrc.loss:Loss"):
    module_file.cache_clear()
    own_imports.cache_clear()
    return source_sha256(target)


@pytest.mark.parametrize("file", ["loss.py", "deep/pairs.py", "masks.py"])
def test_a_change_in_what_the_target_imports_changes_the_hash(package, file):
    before = digest()
    assert digest() == before
    with open(package / file, "a") as stream:
        stream.write("changed = 1\n")
    assert digest() != before


def test_the_results_version_stands_for_what_a_plugin_takes_from_dmlbench(package):
    with open(package / "loss.py", "a") as stream:
        stream.write("from dmlbench.combiners.base import Combiner\n")
    digest()
    assert not any(name.startswith("dmlbench") for name in own_modules("pkgsrc.loss"))


def test_comments_docstrings_and_layout_do_not_matter(package):
    file = package / "masks.py"
    file.write_text("def f(x):\n    return x + 1\n")
    before = digest()
    file.write_text('"""A."""\n\n\ndef f( x ):\n    """Add."""\n    # Why.\n    return (x+1)\n')
    assert digest() == before
    file.write_text("def f(x):\n    return x + 2\n")
    assert digest() != before


def test_a_string_that_is_no_docstring_counts(package):
    file = package / "masks.py"
    file.write_text("x = 'a'\n")
    before = digest()
    file.write_text("x = 'b'\n")
    assert digest() != before


def test_a_change_elsewhere_does_not(package):
    before = digest()
    (package / "other.py").write_text("x = 2\n")
    assert digest() == before


def test_line_ends_do_not_matter(package):
    before = digest()
    file = package / "masks.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert digest() == before


def test_a_module_without_source_enters_by_name():
    assert source_sha256("not_there.at_all:X") != source_sha256("not_there.either:X")
