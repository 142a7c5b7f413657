"""Old spellings of commands, options and values: read, with a warning that names the new ones."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from dmlbench.cli import main
from dmlbench.cli.request_options import read_request, request_options


def request(*arguments):
    """The request that the options spell, and what stderr says."""
    seen = []

    @click.command()
    @request_options
    def command(without, **options):
        seen.append(read_request(options))

    result = CliRunner().invoke(command, arguments)
    return (seen or [None])[0], result.stderr


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (["--width", "paper"], ["--dim-budget", "per-loss"], {"--width", "per-loss"}),
        (["--width=fair"], ["--dim-budget", "total"], {"--width", "total"}),
        (["--dim-budget", "paper"], ["--dim-budget", "per-loss"], {"--dim-budget per-loss"}),
        (
            ["--set", "recipe.epochs=2", "--set", "protocol.width=paper"],
            ["--set", "recipe.epochs=2", "--set", "protocol.dim_budget=per-loss"],
            {"protocol.dim_budget=per-loss"},
        ),
    ],
)
def test_an_old_spelling_is_read_as_the_new_one(old, new, named):
    (read, warned), (meant, silent) = request(*old), request(*new)
    assert meant is not None and read == meant and not silent
    assert all(name in warned for name in named) and "Error" not in warned


def test_both_spellings_at_once_are_refused():
    read, said = request("--width", "fair", "--dim-budget", "total")
    assert read is None and "--width" in said and "--dim-budget" in said


def test_help_has_no_old_spelling():
    @click.command()
    @request_options
    def command(**options): ...

    text = CliRunner().invoke(command, ["--help"]).output
    assert "--dim-budget [total|per-loss]" in text and "--width" not in text


@pytest.mark.parametrize(
    ("command", "old"),
    [
        (["run", "--losses", "no-such-loss"], "--submitter"),
        (["reproduce", "no-such-entry"], "--who"),
        (["leaderboard", "audit", "no-such-entry"], "--who"),
        (["leaderboard", "verify", "no-such-entry"], "--record"),
    ],
)
def test_the_name_behind_a_result_has_one_option(command, old, capsys):
    said = []
    for option in (old, "--name"):
        with pytest.raises(SystemExit) as stop:
            main([*command, option, "Ada"])
        said.append(capsys.readouterr().err)
        assert stop.value.code == 2
    first, rest = said[0].split("\n", 1)
    assert old in first and "--name" in first
    assert rest == said[1], "nothing else differs"


@pytest.mark.parametrize(
    ("old", "new"),
    [("plugins", "plugin list"), ("new-plugin", "plugin new"), ("check", "plugin check")],
)
def test_an_old_command_is_the_new_one(old, new, capsys):
    said = []
    for words in (old, new):
        with pytest.raises(SystemExit) as stop:
            main([*words.split(), "--help"])
        assert stop.value.code == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out and said[1].err == ""
    assert f"dmlbench {old} is now dmlbench {new}" in said[0].err


def test_the_list_of_commands_has_no_old_one(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "new-plugin" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["plan", "--out", "DIR"], ["plan", "--leaderboards", "DIR"]),
        (["leaderboard", "add", "x.json", "--out=DIR"], None),
        (["leaderboard", "compare", "abcd", "ef01", "--out", "DIR"], None),
        (["info", "abcd", "--out", "DIR"], None),
        (["reproduce", "abcd", "--out", "DIR"], None),
        (["leaderboard", "show", "DIR"], ["leaderboard", "show", "--leaderboards", "DIR"]),
        (["leaderboard", "verify", "DIR"], ["leaderboard", "verify", "--leaderboards", "DIR"]),
        (
            ["leaderboard", "site", "SITE", "DIR"],
            ["leaderboard", "site", "SITE", "--leaderboards", "DIR"],
        ),
        (
            ["leaderboard", "bundle", "DIR", "--to", "SITE.tar"],
            ["leaderboard", "bundle", "--leaderboards", "DIR", "--to", "SITE.tar"],
        ),
        (
            ["leaderboard", "audit", "DIR", "--name", "Ada"],
            ["leaderboard", "audit", "--leaderboards", "DIR", "--name", "Ada"],
        ),
    ],
)
def test_the_folder_of_leaderboards_has_one_option(old, new, tmp_path, capsys):
    (tmp_path / "DIR").mkdir()
    new = new or [word.replace("--out", "--leaderboards") for word in old]
    said = []
    for arguments in (old, new):
        where = [w.replace("DIR", str(tmp_path / "DIR")) for w in arguments]
        with pytest.raises(SystemExit) as stop:
            main([w.replace("SITE", str(tmp_path / "site")) for w in where])
        captured = capsys.readouterr()
        said.append((stop.value.code, captured.err, captured.out.partition("Salt")[0]))
    (code, warned, out), (meant, silent, shown) = said
    assert warned.startswith("Warning: ") and "is now --leaderboards" in warned
    assert (code, warned.split("\n", 1)[1], out) == (meant, silent, shown)
