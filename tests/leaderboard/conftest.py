"""`make_entry` builds a small hand-made entry, `make_component` a record of a component."""

from __future__ import annotations

import hand_made
import pytest


@pytest.fixture(scope="session")
def make_entry():
    return hand_made.make


@pytest.fixture(scope="session")
def make_component():
    return hand_made.component
