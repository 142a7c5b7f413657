"""Write the package of a new plugin, ready to be installed, tested and filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from dmlbench.errors import UsageError
from dmlbench.plugins.scaffold_kinds import SCAFFOLD_KINDS

#: Where each file of the template goes; ``$package`` is the folder that is imported.
_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "$package/__init__.py": "__init__.py.txt",
    "$package/plugin.py": "$kind_plugin.py.txt",
    "$package/$kind.py": "$kind.py.txt",
    "tests/test_$kind.py": "$kind_test.py.txt",
    "LICENSE": "LICENSE.txt",
    ".github/workflows/tests.yml": "tests.yml.txt",
}

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class NewPlugin:
    """The names that a new plugin is made of.

    name: of what it offers; lower case letters, digits and hyphens.
    distribution: what is installed.
    kind: "loss", "combiner", "dataset", "backbone" or "tracker".
    Raises `UsageError` for a name that a component or a distribution cannot have.
    """

    name: str
    distribution: str
    kind: str = "loss"

    def __post_init__(self) -> None:
        for noun, name in ((self.kind, self.name), ("distribution", self.distribution)):
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"A {noun} cannot be named {name!r}: lower case letters, digits and single "
                    f"hyphens, a letter first, such as 'soft-margin'."
                )
        if self.distribution in ("dmlbench", "numpy", "torch"):
            raise UsageError(f"The distribution {self.distribution} is another's. Choose a name.")

    @property
    def package(self) -> str:
        """The name it is imported by."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """``soft-margin`` as ``SoftMarginLoss``."""
        return "".join(map(str.capitalize, [*self.name.split("-"), self.kind]))

    @property
    def module(self) -> str:
        """The file that the author's code goes into."""
        return f"{self.package}/{self.kind}.py"

    def commands(self, ambiguous: bool = True) -> list[str]:
        """What to do with the package once it is installed.

        ambiguous: name the component in full, which is right whatever else has its name.
        """
        called = f"{self.distribution}:{self.name}" if ambiguous else self.name
        # Another loss, even where the two share a name.
        partner = "ms" if self.name == "triplet" else "triplet"
        checked = self.distribution if self.kind == "tracker" else called
        use = SCAFFOLD_KINDS[self.kind].use.format(
            called=called, partner=partner, variable=self.variable
        )
        return [f"dmlbench plugin check {checked}", use]

    @property
    def variable(self) -> str:
        """The environment variable that a tracker reads."""
        return f"{self.package.upper()}_DIR"

    def files(self) -> dict[str, str]:
        """The text of every file by its path within the package's folder."""
        kind = SCAFFOLD_KINDS[self.kind]
        listing = f"dmlbench list {kind.plural}" if kind.plural else "dmlbench plugin list"
        _, use = self.commands()
        commands = [
            f"{listing:<53} # {self.name}, {self.distribution}",
            f"dmlbench plugin check {self.distribution}",
            use,
        ]
        names = {
            "name": self.name,
            "kind": self.kind,
            "module": self.kind,
            "distribution": self.distribution,
            "package": self.package,
            "entry_point": self.distribution.removeprefix("dmlbench-"),
            "class_name": self.class_name,
            "variable": self.variable,
            "needs": kind.needs,
            "commands": "".join(f"    {line}\n" for line in commands).rstrip("\n"),
            "starts_as": kind.starts_as,
            "plugin_does": kind.plugin_does,
            "module_does": kind.module_does,
            "test_does": kind.test_does,
            "yours": kind.yours,
        }
        template = resources.files("dmlbench.plugins") / "template"
        return {
            Template(path).substitute(names): Template(
                (template / source.replace("$kind", self.kind)).read_text("utf-8")
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
