"""A host's file: what it says is on the pages, as text; what is wrong in it is named."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from words import refused

from dmlbench.cli import cli
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.leaderboard.site.build import write_site
from dmlbench.leaderboard.site.host import Host, read_host

WHOLE = """
title = "Boards of the Lab <b>"
question = "Which loss?"
notice = "Read [the findings](https://example.org/f?a=1&b=2) first."
about = '''
Made with `dmlbench`.

A second paragraph with <script>alert(1)</script>.
'''
submit = "Open a [pull request](https://example.org/pulls)."
cite = "@misc{board,\\n title={Board}\\n}"
logo = "logo.svg"
url = "https://example.org/board"
updated = 2026-11-28
links = [{title = "Source", url = "https://example.org/repo"}]
"""
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / "logo.svg").write_bytes(LOGO)
    path = tmp_path / "_site.toml"
    path.write_text(WHOLE)
    return path


def test_what_a_host_says_is_on_the_pages(file, make_entry, tmp_path):
    host, logo = read_host(file)
    assert host.updated == date(2026, 11, 28) and host.base == "https://example.org/board/"
    entry = make_entry()
    write_site([entry], tmp_path / "site", host=host, logo=logo)
    page = (tmp_path / "site" / "index.html").read_text()
    for text in (
        "<title>Boards of the Lab &lt;b&gt;</title>",
        "Which loss?",
        '<a href="https://example.org/f?a=1&amp;b=2">the findings</a>',
        "Made with <code>dmlbench</code>.</p>",
        "<p>A second paragraph with &lt;script&gt;alert(1)&lt;/script&gt;.</p>",
        '<a href="https://example.org/pulls">pull request</a>',
        "@misc{board,\n title={Board}\n}",
        '<a href="https://example.org/repo">Source</a>',
        '<img src="assets/logo.svg" alt=""',
        '<time datetime="2026-11-28">',
    ):
        assert text in page, text
    assert (tmp_path / "site" / "assets" / "logo.svg").read_bytes() == LOGO
    other = (tmp_path / "site" / "entries" / f"{entry.entry_id}.html").read_text()
    assert "the findings</a>" in other and "Boards of the Lab &lt;b&gt;</a>" in other


def test_without_a_file_nothing_is_left_empty(make_entry, tmp_path):
    write_site([make_entry()], tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text()
    assert "<title>Leaderboard</title>" in page
    for word in ("Submit", "About", "Cite", 'class="notice"', "<img"):
        assert word not in page


@pytest.mark.parametrize(
    "text",
    [
        "title = ",
        'name = "x"',
        "title = 3",
        'links = [{title = "x", url = "javascript:alert(1)"}]',
        'links = [{title = "x"}]',
        'about = "[x](javascript:alert)"',
        'submit = "[x](data:text/html,x)"',
        'url = "file:///etc"',
        'logo = "../logo.svg"',
        'logo = "logo.html"',
        'logo = "missing.png"',
    ],
)
def test_what_is_wrong_is_named(file, text):
    file.write_text(text)
    with refused(UsageError, "_site.toml"):
        read_host(file)


def test_a_logo_is_no_link(file, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    (tmp_path / "logo.svg").unlink()
    (tmp_path / "logo.svg").symlink_to(secret)
    with refused(UsageError, "logo"):
        read_host(file)


def test_the_command_finds_the_file_beside_the_leaderboards(make_entry, tmp_path):
    folder = tmp_path / "lb"
    write_entry(folder, make_entry())
    (folder / "_site.toml").write_text('title = "Found"')
    (tmp_path / "other.toml").write_text('title = "Given"')

    def title(*arguments):
        site = tmp_path / "site"
        command = ["leaderboard", "site", site, "--leaderboards", folder, *arguments]
        result = CliRunner().invoke(cli, list(map(str, command)))
        assert result.exit_code == 0, result.output
        return (site / "index.html").read_text().partition("<title>")[2].partition("</title>")[0]

    assert title() == "Found"
    assert title("--config", tmp_path / "other.toml") == "Given"


def test_links_of_a_row_are_on_its_page_and_in_its_table(make_entry, tmp_path):
    links = {
        "paper": "https://arxiv.org/abs/2107.01130",
        "code": "https://example.org/code?a=1&b=2",
    }
    entry = type(make_entry()).model_validate(make_entry().model_dump() | links)
    write_site([entry], tmp_path / "site")
    for page in ("index.html", f"entries/{entry.entry_id}.html"):
        assert links["paper"] in (tmp_path / "site" / page).read_text()
    assert Host().links == []
