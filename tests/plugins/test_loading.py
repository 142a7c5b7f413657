"""Plugins are found, loaded in isolation, and reported by distribution, version and reason."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from dmlbench.errors import PluginError, UsageError
from dmlbench.plugins.loading import load_plugins

GOOD = """
    from dmlbench.hookspecs import LossSpec, hookimpl

    @hookimpl
    def dmlbench_losses():
        return [LossSpec(name="mine", target="mine:Mine", summary="A loss", defaults={"a": 1})]
"""


def record_of(registry, distribution):
    (record,) = [r for r in registry.plugins if r.distribution == distribution]
    return record


def test_builtins_come_through_the_entry_point_group():
    registry = load_plugins()
    assert record_of(registry, "dmlbench").status == "ok"
    assert registry.resolve("losses", "ms").id == "dmlbench:multi-similarity"
    assert registry.resolve("combiners", "learned").id == "dmlbench:wedl"


def test_third_party_loss_is_found(install):
    install("third-party", GOOD, version="2.3")
    registry = load_plugins()
    item = registry.resolve("losses", "mine")
    assert (item.id, item.version) == ("third-party:mine", "2.3")
    assert item.resolve_params({"a": 2}) == {"a": 2}
    with pytest.raises(UsageError, match="third-party:mine has no parameter 'b'. It has: a"):
        item.resolve_params({"b": 2})


BROKEN = {
    "import error": ("import not_there", "cannot be imported: ModuleNotFoundError: .*not_there"),
    "exits on import": ("raise SystemExit(3)", "cannot be imported: SystemExit"),
    "syntax error": ("def (", "cannot be imported: SyntaxError"),
    "unknown hook": (
        """
        from dmlbench.hookspecs import hookimpl
        @hookimpl
        def dmlbench_metrics():
            return []
        """,
        "unknown hook 'dmlbench_metrics'",
    ),
    "wrong signature": (
        """
        from dmlbench.hookspecs import hookimpl
        @hookimpl
        def dmlbench_losses(registry):
            return []
        """,
        "registry",
    ),
    "unmarked hook": ("def dmlbench_losses(): return []", "not marked with @dmlbench.hookspecs"),
    "hook fails": (
        """
        from dmlbench.hookspecs import hookimpl
        @hookimpl
        def dmlbench_losses():
            return [1 / 0]
        """,
        r"dmlbench_losses\(\) failed: ZeroDivisionError",
    ),
    "not a spec": (
        """
        from dmlbench.hookspecs import hookimpl
        @hookimpl
        def dmlbench_losses():
            return ["triplet"]
        """,
        "'triplet', which is not a LossSpec",
    ),
    "bad name": (GOOD.replace('"mine"', '"My Loss"'), "lower case"),
    "bad target": (GOOD.replace("mine:Mine", "mine.Mine"), "package.module:Class"),
    "defaults are no JSON": (GOOD.replace('{"a": 1}', '{"a": object()}'), "must be JSON values"),
    "defaults are NaN": (GOOD.replace('{"a": 1}', '{"a": float("nan")}'), "must be JSON values"),
    "condition names nothing": (
        GOOD.replace(
            'defaults={"a": 1}',
            'defaults={"a": 1}, search={"a": {"choices": [1, 2], "when": {"b": [1]}}}',
        ),
        "names 'b', which is not among the defaults",
    ),
    "condition is no list": (
        GOOD.replace(
            'defaults={"a": 1}',
            'defaults={"a": 1}, search={"a": {"low": 1, "high": 2, "when": {"a": 1}}}',
        ),
        "must map parameters to lists",
    ),
    "condition of the rate": (
        GOOD.replace('defaults={"a": 1}', 'defaults={"a": 1}, loss_lr_when={"b": [1]}'),
        "loss_lr_when names 'b'",
    ),
    "wraps without parameters": (
        GOOD.replace(
            'defaults={"a": 1}',
            'defaults={"a": 1}, wraps=(LossSpec(name="o", target="m:O", summary="s"),)',
        ),
        "wraps needs the parameters",
    ),
    "duplicate name": (
        """
        from dmlbench.hookspecs import LossSpec, hookimpl
        @hookimpl
        def dmlbench_losses():
            return [LossSpec(name="x", target="m:X", summary="s"),
                    LossSpec(name="y", target="m:Y", summary="s", aliases=("x",))]
        """,
        "offers bad:x twice among its losses",
    ),
}


@pytest.mark.parametrize("code, reason", BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_reported_and_everything_else_works(install, code, reason):
    install("bad", code, version="0.7")
    install("good", GOOD)
    registry = load_plugins()
    record = record_of(registry, "bad")
    assert (record.status, record.version) == ("broken", "0.7")
    assert re.search(reason, record.reason), record.reason
    assert registry.resolve("losses", "mine").id == "good:mine"
    assert registry.resolve("losses", "triplet").id == "dmlbench:triplet"
    with pytest.raises(UsageError, match="Some plugins are broken .*bad 0.7"):
        registry.resolve("losses", "not-there")


def test_what_a_plugin_prints_on_import_does_not_reach_stdout(install, capsys):
    install("chatty", "print('hello')")
    load_plugins()
    assert capsys.readouterr().out == ""


def test_an_ambiguous_name_names_both_distributions(install):
    install("one", GOOD)
    install("two", GOOD)
    registry = load_plugins()
    with pytest.raises(UsageError, match="2 distributions.*one:mine or two:mine"):
        registry.resolve("losses", "mine")
    assert registry.resolve("losses", "two:mine").distribution == "two"


def test_without_leaves_a_distribution_out(install):
    install("one", GOOD)
    install("two", GOOD)
    registry = load_plugins(without=["One"])
    assert record_of(registry, "one").status == "left out"
    assert registry.resolve("losses", "mine").id == "two:mine"
    with pytest.raises(PluginError, match="--without three: no installed distribution"):
        load_plugins(without=["three"])


def test_an_unknown_name_is_an_error_with_the_closest():
    with pytest.raises(UsageError, match="no loss named 'tripplet'. Did you mean triplet"):
        load_plugins().resolve("losses", "tripplet")


@pytest.mark.parametrize(
    "statement",
    [
        "import dmlbench",
        "import dmlbench.cli, dmlbench.cli.run",
        "import dmlbench.plugins.loading as p; p.load_plugins()",
        "from dmlbench.cli import main; main(['--help'])",
        "from dmlbench.cli import main; main(['plugins'])",
        "from dmlbench.cli import main; main(['list', 'losses'])",
        "from dmlbench.cli import main; main(['plan'])",
        "from dmlbench.cli import main; main(['info', 'triplet'])",
    ],
)
def test_listing_imports_no_heavy_library(statement):
    check = (
        "import sys, atexit\n"
        "heavy = ['torch', 'timm', 'faiss', 'pandas', 'matplotlib', 'sklearn', 'scipy']\n"
        "atexit.register(lambda: print('HEAVY', [m for m in heavy if m in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", check + statement], capture_output=True, text=True, timeout=60
    )
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr


NAMED = """
    from dmlbench.hookspecs import LossSpec, hookimpl

    @hookimpl
    def dmlbench_losses():
        return [LossSpec(name="triplet-loss", target="m:X", summary="s", aliases=({alias!r},))]
"""


def test_the_entry_point_works_as_prefix_while_it_is_unique(install):
    install("one", GOOD, entry_point="short")
    registry = load_plugins()
    assert registry.resolve("losses", "short:mine").id == "one:mine"
    with pytest.raises(UsageError, match="no loss named 'short:min'. Did you mean short:mine"):
        registry.resolve("losses", "short:min")
    install("two", GOOD, entry_point="short")
    with pytest.raises(UsageError, match="2 distributions.*one:mine or two:mine"):
        load_plugins().resolve("losses", "short:mine")


def test_an_entry_point_never_answers_for_a_distribution_of_its_name(install):
    install("one", GOOD, entry_point="dmlbench")
    registry = load_plugins()
    assert registry.find("losses", "dmlbench:mine") == []
    assert registry.resolve("losses", "dmlbench:triplet").distribution == "dmlbench"


def test_an_alias_behind_a_prefix_leaves_the_short_name_alone(install):
    install("theirs", NAMED.format(alias="short:triplet"), entry_point="short")
    registry = load_plugins()
    assert registry.resolve("losses", "triplet").id == "dmlbench:triplet"
    for name in ("short:triplet", "theirs:triplet", "triplet-loss"):
        assert registry.resolve("losses", name).id == "theirs:triplet-loss"


def test_an_alias_behind_the_prefix_of_another_is_refused(install):
    install("theirs", NAMED.format(alias="dmlbench:more"), entry_point="short")
    reason = record_of(load_plugins(), "theirs").reason
    assert "triplet-loss as dmlbench:more, but only 'theirs' and 'short'" in reason
