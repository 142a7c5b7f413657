"""Commands in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmlbench.cli import main


@pytest.fixture
def call(capsys) -> Callable[..., tuple[int, str, str]]:
    """Call with a command's arguments; gives its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run
