"""Every error that dmlbench raises on purpose, each with the exit code it ends a command with."""

from __future__ import annotations


class DmlbenchError(Exception):
    """Something a user can act on: the message says what was given, allowed, and what to do."""

    exit_code = 1


class UsageError(DmlbenchError):
    """An invalid option, name or value."""

    exit_code = 2


class PluginError(DmlbenchError):
    """A plugin that cannot be loaded, or that broke its contract."""

    exit_code = 3


class VerificationError(DmlbenchError):
    """A record that fails verification."""

    exit_code = 4


class TrialFailure(DmlbenchError):
    """A trial that cannot go on; the other trials do."""
