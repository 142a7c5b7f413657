"""The icon sets: which package brings each, in which version, under which licence.

The versions are those of ``pyproject.toml`` (a test compares the two), because another version
draws some icons differently.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dmlbench.data.images import DatasetError
from dmlbench_icons import reading

Reader = Callable[[], Mapping[str, str]]
"""Gives the SVG text of every drawing of a set by "style/name"."""


@dataclass(frozen=True)
class IconSet:
    """One icon set.

    name: the first part of the ids of its images.
    distribution, version: the package on PyPI that brings it.
    release: version of the set itself.
    licence: SPDX name of the licence of the drawings.
    source: where its makers publish it.
    read: its drawings; called only after the version was checked.
    """

    name: str
    distribution: str
    version: str
    release: str
    licence: str
    source: str
    read: Reader


SETS: tuple[IconSet, ...] = (
    IconSet(
        "bootstrap",
        "django-js-lib-bootstrap-icons",
        "1.11.3.0",
        "1.11.3",
        "MIT",
        "https://icons.getbootstrap.com",
        reading.bootstrap,
    ),
    IconSet(
        "boxicons",
        "iconipy",
        "0.5.1",
        "2.1.4",
        "MIT",
        "https://boxicons.com",
        reading.boxicons,
    ),
    IconSet(
        "codicons",
        "qtawesome",
        "1.4.2",
        "0.0.36",
        "CC-BY-4.0",
        "https://github.com/microsoft/vscode-codicons",
        reading.codicons,
    ),
    IconSet(
        "elusive",
        "qtawesome",
        "1.4.2",
        "2.0",
        "OFL-1.1",
        "https://github.com/dovy/elusive-icons",
        reading.elusive,
    ),
    IconSet(
        "fontawesome",
        "justmyresource-font-awesome",
        "6.7.2.post1",
        "6.7.2 Free",
        "CC-BY-4.0",
        "https://fontawesome.com",
        reading.fontawesome,
    ),
    IconSet(
        "heroicons",
        "justmyresource-heroicons",
        "2.2.0.post1",
        "2.2.0",
        "MIT",
        "https://heroicons.com",
        reading.heroicons,
    ),
    IconSet(
        "ionicons",
        "ionicons-python",
        "1.0.3",
        "7",
        "MIT",
        "https://ionic.io/ionicons",
        reading.ionicons,
    ),
    IconSet(
        "lineicons",
        "iconipy",
        "0.5.1",
        "5.0",
        "MIT",
        "https://lineicons.com",
        reading.lineicons,
    ),
    IconSet(
        "lucide",
        "justmyresource-lucide",
        "0.575.0",
        "0.575.0",
        "ISC",
        "https://lucide.dev",
        reading.lucide,
    ),
    IconSet(
        "material",
        "justmyresource-material-icons",
        "4.0.0.post1",
        "4.0.0",
        "Apache-2.0",
        "https://fonts.google.com/icons",
        reading.material,
    ),
    IconSet(
        "mdi",
        "justmyresource-mdi",
        "7.4.47.post1",
        "7.4.47",
        "Apache-2.0",
        "https://pictogrammers.com/library/mdi",
        reading.mdi,
    ),
    IconSet(
        "octicons",
        "octicons-pack",
        "19.42.0",
        "19.42.0",
        "MIT",
        "https://primer.style/octicons",
        reading.octicons,
    ),
    IconSet(
        "phosphor",
        "justmyresource-phosphor",
        "2.0.8.post1",
        "2.0.8",
        "MIT",
        "https://phosphoricons.com",
        reading.phosphor,
    ),
    IconSet(
        "remix",
        "qtawesome",
        "1.4.2",
        "2.5.0",
        "Apache-2.0",
        "https://remixicon.com",
        reading.remix,
    ),
    IconSet(
        "tabler",
        "pytablericons",
        "1.0.1",
        "3.0",
        "MIT",
        "https://tabler.io/icons",
        reading.tabler,
    ),
)


def read_all() -> dict[str, str]:
    """Return the SVG text of every drawing of every set, by "set/style/name".

    Raises `dmlbench.data.images.DatasetError` where a package is missing, or is of another version.
    """
    drawings = {}
    for icons in SETS:
        require(icons.distribution, icons.version)
        for name, svg in icons.read().items():
            drawings[f"{icons.name}/{name}"] = svg
    return drawings


def require(distribution: str, version: str) -> None:
    """Raise `DatasetError` unless a package is installed in exactly this version."""
    wanted = f"pip install '{distribution}=={version}'"
    try:
        found = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise DatasetError(
            f"icons: the package {distribution} is missing, whose drawings belong to the dataset. "
            f"{wanted}"
        ) from error
    if found != version:
        raise DatasetError(
            f"icons: the package {distribution} is version {found}, but the dataset is made of "
            f"{version}: another one draws some icons differently. {wanted}"
        )
