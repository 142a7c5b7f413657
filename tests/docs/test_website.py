"""The docs as a site: every page is listed, every link resolves, here and on the site."""

from __future__ import annotations

import inspect
import pkgutil
import re
import types
from pathlib import Path

import docstrings
import links
import pytest
import yaml

import dmlbench.api
import dmlbench.evaluate
import dmlbench.testing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((DOCS / "website" / "mkdocs.yml").read_text("utf-8"))
OUTSIDE = sorted(path for pattern in links.INCLUDED for path in ROOT.glob(pattern))
PAGES = [*sorted(DOCS.rglob("*.md")), *OUTSIDE]


def listed(nav):
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in listed(part)]


def test_the_navigation_lists_every_page_once():
    wanted = [links.site_path(page.relative_to(ROOT).as_posix()) for page in PAGES]
    wanted += [
        notebook.relative_to(DOCS).with_suffix(".md").as_posix()
        for notebook in DOCS.rglob("*.ipynb")
    ]
    assert sorted(listed(CONFIG["nav"])) == sorted(wanted)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_heading(page):
    broken = []

    def check(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        path = page.parent / target
        # README.md is the page of its folder.
        if not path.exists() or (anchor and anchor not in anchors(path.read_text("utf-8"))):
            broken.append(match[0])
        return match[0]

    links.rewrite(page.read_text("utf-8"), check)
    assert broken == []


def anchors(page):
    """The anchors of a page's headings, as MkDocs and Git hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("page", "module"),
    [("dmlbench", dmlbench), ("evaluate", dmlbench.evaluate), ("testing", dmlbench.testing)],
)
def test_the_reference_has_every_public_function_and_class(page, module):
    text = (DOCS / "reference" / f"{page}.md").read_text("utf-8")
    # As Griffe reads a path: a module before a function that a package binds to its name.
    shown = [pkgutil.resolve_name(name) for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]
    public = [getattr(module, name) for name in module.__all__]
    public = [one for one in public if isinstance(one, type | types.FunctionType)]
    assert sorted(map(id, shown)) == sorted(map(id, public))


def test_nothing_is_loaded_from_elsewhere():
    assert CONFIG["theme"]["font"] is False
    assert all((DOCS / path).is_file() for path in CONFIG["extra_css"])
    assert not {"extra_javascript", "repo_url", "site_url"} & set(CONFIG)
    # Material's plugin "offline" loads a script from a CDN.
    assert "offline" not in CONFIG["plugins"]


NOTEBOOK = "tutorials/from-python"
FILES = [
    *("README.md", "a.md", "commands/list.md", "commands/run.md", "repository/README.md"),
    *(f"{NOTEBOOK}.ipynb", f"{NOTEBOOK}.md"),
]


@pytest.mark.parametrize(
    ("page", "written", "expected"),
    [
        ("README.md", "[x](../README.md#how)", "[x](repository/README.md#how)"),
        ("commands/run.md", "[x](../../README.md)", "[x](../repository/README.md)"),
        ("repository/README.md", "[x](docs/README.md)", "[x](../README.md)"),
        ("README.md", "[x](commands)", "[x](commands/list.md)"),
        ("README.md", f"[x]({NOTEBOOK}.ipynb)", f"[x]({NOTEBOOK}.md)"),
        (f"{NOTEBOOK}.md", "[x](from-python.ipynb)", "[x](from-python.ipynb)"),
        ("README.md", "[ci/](ci)", "ci/"),
        ("README.md", "[the board](../leaderboards)", "the board (`leaderboards`)"),
        ("README.md", "[x](#here) [y](https://a.b/c)", "[x](#here) [y](https://a.b/c)"),
        ("README.md", "```\n[x](../README.md)\n```\n", "```\n[x](../README.md)\n```\n"),
        ("README.md", "[x](missing.md)", "[x](missing.md)"),
    ],
)
def test_a_link_is_rewritten_for_the_site(page, written, expected):
    assert links.for_the_site(written, page, FILES, None) == expected


def test_what_is_only_in_the_repository_is_linked_where_its_address_is_known():
    made = links.for_the_site("[x](../pyproject.toml)", "a.md", FILES, "https://a.b/c/")
    assert made == "[x](https://a.b/c/blob/HEAD/pyproject.toml)"


def test_a_docstring_becomes_markdown():
    assert docstrings.as_markdown(
        "Do it.\n\nx, *y: numbers,\n    two of them.\nz: text.\nReturns one.\nRaises `E`.\n\n"
        "    >>> f()  # doctest: +SKIP\n    1\n"
    ) == (
        "Do it.\n\n- `x`, `*y`: numbers,\n    two of them.\n- `z`: text.\n\nReturns one.\n\n"
        "Raises `E`.\n\n```pycon\n>>> f()\n1\n```"
    )


def test_every_parameter_of_run_that_is_described_is_an_item():
    made = docstrings.as_markdown(inspect.getdoc(dmlbench.api.run) or "")
    named = {name for line in re.findall(r"^- (`.*?`): ", made, re.M) for name in line.split(", ")}
    assert {"`losses`", "`overrides`", "`watch`"} <= named and "    >>>" not in made
