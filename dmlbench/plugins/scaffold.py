"""Write the package of a new plugin, ready to be installed, tested and filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from dmlbench.errors import UsageError

#: Where each file of the template goes; ``$package`` is the folder that is imported.
_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "$package/__init__.py": "__init__.py.txt",
    "$package/plugin.py": "plugin.py.txt",
    "$package/loss.py": "loss.py.txt",
    "tests/test_loss.py": "test_loss.py.txt",
    "LICENSE": "LICENSE.txt",
    ".github/workflows/tests.yml": "tests.yml.txt",
}

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class NewPlugin:
    """The names that a new plugin is made of.

    loss: its loss, lower case letters, digits and hyphens.
    distribution: what is installed.
    Raises `UsageError` for a name that a loss or a distribution cannot have.
    """

    loss: str
    distribution: str

    def __post_init__(self) -> None:
        for noun, name in (("loss", self.loss), ("distribution", self.distribution)):
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"A {noun} cannot be named {name!r}: lower case letters, digits and single "
                    f"hyphens, a letter first, such as 'soft-margin'."
                )
        if self.distribution in ("dmlbench", "torch"):
            raise UsageError(f"The distribution {self.distribution} is another's. Choose a name.")

    @property
    def package(self) -> str:
        """The name it is imported by."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """``soft-margin`` as ``SoftMarginLoss``."""
        return "".join(word.capitalize() for word in self.loss.split("-")) + "Loss"

    @property
    def partner(self) -> str:
        """The loss that examples train beside it: another one, even where the two share a name."""
        return "ms" if self.loss == "triplet" else "triplet"

    def files(self) -> dict[str, str]:
        """The text of every file by its path within the package's folder."""
        names = {
            "loss": self.loss,
            "distribution": self.distribution,
            "package": self.package,
            "entry_point": self.distribution.removeprefix("dmlbench-"),
            "class_name": self.class_name,
            "partner": self.partner,
        }
        template = resources.files("dmlbench.plugins") / "template"
        return {
            Template(path).substitute(names): Template(
                (template / source).read_text("utf-8")
            ).substitute(names)
            for path, source in _FILES.items()
        }


def write_plugin(plugin: NewPlugin, folder: Path) -> list[Path]:
    """Write the package into `folder`, which must not exist or be empty; return the files.

    Raises `UsageError` where something is there already; nothing is written then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and is not overwritten. Choose another --to.")
    written = []
    for path, text in plugin.files().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
        written.append(file)
    return written
