"""The source behind a target: which files decide what it computes, and their hash.

The modules that a module imports from its own top-level package count as part of it. Those of
dmlbench do not: the results version stands for them. Comments, docstrings and layout do not count
either. Files are found and parsed, never executed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path


def source_sha256(target: str) -> str:
    """SHA-256 (hex) over the files behind ``"package.module:Class"`` or ``"package.module"``.

    Each file enters with its module name, in sorted order. A module without readable source
    (a compiled extension) enters by name only.
    """
    digest = hashlib.sha256()
    for name in sorted(own_modules(target.partition(":")[0])):
        path = module_file(name)
        content = _code(path) if path else b""
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _code(path: Path) -> bytes:
    """What a file does, whatever its comments, docstrings and layout."""
    content = path.read_bytes()
    if path.suffix != ".py":
        return content
    try:
        return _written(ast.parse(content)).encode()
    except SyntaxError:
        return content


def _written(node: object) -> str:
    """A syntax tree as text. Empty fields are left out: releases of Python add some."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!r}"
    if isinstance(node, list):
        return f"[{','.join(map(_written, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    parts = [f"{k}={_written(v)}" for k, v in fields.items() if v is not None and v != []]
    return f"{type(node).__name__}({','.join(parts)})"


_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def own_modules(module: str) -> set[str]:
    """The module and all it imports, directly or not, from its own package."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and module_file(name) is not None:
            found.add(name)
            waiting.extend(own_imports(name))
    return found or {module}


@functools.cache
def own_imports(module: str) -> tuple[str, ...]:
    path = module_file(module)
    if path is None or path.suffix != ".py":
        return ()
    top = module.partition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package=path.name == "__init__.py")
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return tuple(name for name in names if name.partition(".")[0] == top)


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parents = parts[: len(parts) - node.level + is_package]
    return ".".join(parents + ([node.module] if node.module else []))


@functools.cache
def module_file(module: str) -> Path | None:
    """The file of a module. Only its top-level package is looked up: finding more would import."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return _existing(Path(spec.origin)) if spec.origin else None
    for location in spec.submodule_search_locations or ():
        path = Path(location, *rest)
        found = _existing(path / "__init__.py") or _existing(path.with_name(f"{path.name}.py"))
        if found:
            return found
    return None


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None
