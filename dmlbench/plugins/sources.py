"""The source behind a target: which files decide what it computes, and their hash.

The modules that a module imports from its own top-level package count as part of it, and so do
those of dmlbench: a plugin's combiner is what its base class makes it. Files are found and parsed,
never executed.
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
    for name in sorted(_closure(target.partition(":")[0])):
        path = _file_of(name)
        # Line ends differ between checkouts; the code does not.
        content = path.read_bytes().replace(b"\r\n", b"\n") if path else b""
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _closure(module: str) -> set[str]:
    """The module and all it imports, directly or not, from its own package and from dmlbench."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and _file_of(name) is not None:
            found.add(name)
            waiting.extend(_imports(name))
    return found or {module}


@functools.cache
def _imports(module: str) -> tuple[str, ...]:
    path = _file_of(module)
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
    counted = (top, "dmlbench")
    return tuple(name for name in names if name.partition(".")[0] in counted)


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parents = parts[: len(parts) - node.level + is_package]
    return ".".join(parents + ([node.module] if node.module else []))


@functools.cache
def _file_of(module: str) -> Path | None:
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
