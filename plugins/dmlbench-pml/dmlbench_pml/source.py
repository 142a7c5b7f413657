"""The classes of a package as its source files tell them: parsed, never imported."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

REQUIRED = object()
"""Stands for the default of a parameter that has none."""

NO_LITERAL = object()
"""Stands for a default that is not written as a literal, such as ``np.inf``."""


@dataclass(frozen=True)
class ClassSource:
    """A class of the package: where it is and its syntax tree.

    module: the names below the package, such as ``("losses", "triplet_margin_loss")``.
    """

    module: tuple[str, ...]
    node: ast.ClassDef

    @property
    def name(self) -> str:
        return self.node.name

    def methods(self) -> dict[str, ast.FunctionDef]:
        """The methods that the class itself defines, by name."""
        return {item.name: item for item in self.node.body if isinstance(item, ast.FunctionDef)}

    def constants(self) -> dict[str, Any]:
        """The literals that the class assigns to names in its body."""
        return {
            target.id: _literal(item.value, {})
            for item in self.node.body
            if isinstance(item, ast.Assign)
            for target in item.targets
            if isinstance(target, ast.Name)
        }


class PackageSource:
    """The source of one package, file by file as it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = cache(self._read)
        # A class is a base of many, and a listing should take no time.
        self.lineage = cache(self._lineage)
        self.parameters = cache(self._parameters)

    def exported(self, *module: str) -> dict[str, ClassSource]:
        """The classes that a module of the package defines or imports from the package."""
        found = {name: self._find(module, name) for name in self._names(module)}
        return {name: source for name, source in found.items() if source is not None}

    def _lineage(self, source: ClassSource) -> list[ClassSource]:
        """The class and its bases within the package, in the order of method resolution."""
        found = [source]
        for base in source.node.bases:
            parent = self._find(source.module, base.id) if isinstance(base, ast.Name) else None
            found += self.lineage(parent) if parent is not None else []
        # A base that is reached by two ways comes after both of them.
        return [one for place, one in enumerate(found) if one not in found[place + 1 :]]

    def methods(self, source: ClassSource) -> dict[str, ast.FunctionDef]:
        """The methods of the class and its bases, overridden ones left out."""
        found: dict[str, ast.FunctionDef] = {}
        for one in self.lineage(source):
            found = {**one.methods(), **found}
        return found

    def _parameters(self, source: ClassSource) -> dict[str, Any]:
        """What the constructor takes, by name with its default, ``**kwargs`` followed to the bases.

        A default is a value, `REQUIRED` or `NO_LITERAL`. What a class passes to its bases itself
        is not for the caller to give.
        """
        found: dict[str, Any] = {}
        passed: set[str] = set()
        for one in self.lineage(source):
            init = one.methods().get("__init__")
            if init is None:
                continue
            own = _own_parameters(init.args, one.constants()) | _read_from_keywords(init)
            found |= {k: v for k, v in own.items() if k not in found and k not in passed}
            passed |= _passed_to_bases(init)
            if init.args.kwarg is None:
                break
        return found

    def _find(self, module: tuple[str, ...], name: str) -> ClassSource | None:
        """What `name` means in a module, if it is a class of this package."""
        meaning = self._names(module).get(name)
        if isinstance(meaning, ast.ClassDef):
            return ClassSource(module, meaning)
        return self._find(*meaning) if meaning is not None else None

    def _read(self, module: tuple[str, ...]) -> dict[str, Any]:
        """A module's classes, as trees, and its imports from the package, as (module, name)."""
        path = self.folder.joinpath(*module)
        is_package = path.is_dir()
        file = path / "__init__.py" if is_package else path.with_suffix(".py")
        if not file.is_file():
            return {}
        found: dict[str, Any] = {}
        for item in ast.parse(file.read_bytes()).body:
            if isinstance(item, ast.ClassDef):
                found[item.name] = item
            elif isinstance(item, ast.ImportFrom):
                origin = self._origin(item, module, is_package)
                for alias in item.names if origin is not None else ():
                    found[alias.asname or alias.name] = (origin, alias.name)
        return found

    def _origin(
        self, item: ast.ImportFrom, module: tuple[str, ...], is_package: bool
    ) -> tuple[str, ...] | None:
        """The module of the package that an import reads from, None where it is another's."""
        named = tuple(item.module.split(".")) if item.module else ()
        if item.level:
            return module[: len(module) + is_package - item.level] + named
        return named[1:] if named[:1] == (self.folder.name,) else None


@cache
def calls(function: ast.AST | None) -> set[str]:
    """The names of all that is called in a function, without what is before the dot."""
    if function is None:
        return set()
    functions = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {getattr(called, "attr", getattr(called, "id", "")) for called in functions}


def is_abstract(function: ast.FunctionDef) -> bool:
    """Whether a method does nothing but ``raise NotImplementedError``."""
    body = function.body[ast.get_docstring(function, clean=False) is not None :]
    return (
        len(body) == 1
        and isinstance(body[0], ast.Raise)
        and getattr(body[0].exc, "id", "") == "NotImplementedError"
    )


def _own_parameters(arguments: ast.arguments, constants: dict[str, Any]) -> dict[str, Any]:
    positional = [*arguments.posonlyargs, *arguments.args][1:]
    required = [REQUIRED] * (len(positional) - len(arguments.defaults))
    defaults = [*required, *(_literal(node, constants) for node in arguments.defaults)]
    found = {argument.arg: value for argument, value in zip(positional, defaults, strict=True)}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found[argument.arg] = REQUIRED if default is None else _literal(default, constants)
    return found


@cache
def _read_from_keywords(init: ast.FunctionDef) -> dict[str, Any]:
    """Parameters that are taken as ``kwargs["name"]``, and so must be given."""
    if init.args.kwarg is None:
        return {}
    return {
        node.slice.value: REQUIRED
        for node in ast.walk(init)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and getattr(node.value, "id", "") == init.args.kwarg.arg
    }


def _literal(node: ast.expr, constants: dict[str, Any]) -> Any:
    """The value of a default, which may be a name that is in `constants`."""
    if isinstance(node, ast.Name) and node.id in constants:
        return constants[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return NO_LITERAL


@cache
def _passed_to_bases(init: ast.FunctionDef) -> set[str]:
    """The keywords in ``super().__init__(...)``."""
    return {
        keyword.arg
        for node in ast.walk(init)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "__init__"
        for keyword in node.keywords
        if keyword.arg is not None
    }
