"""Whether another machine has the code that a run depends on, package by package.

Numbers of one row come from one code. A node of a cluster therefore says, before it trains, which
releases it has and what the files behind every component hash to; nothing is imported for that.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dmlbench
from dmlbench.plan.code import component_targets
from dmlbench.plan.config import Configuration
from dmlbench.plan.identity import BUILT_IN
from dmlbench.plugins.registry import Registry
from dmlbench.plugins.sources import source_sha256


@dataclass(frozen=True)
class Package:
    """A distribution as one machine has it.

    version: None where it is not installed.
    sources: by target, the hash of the source behind it; of dmlbench, of all its files.
    """

    distribution: str
    version: str | None
    sources: Mapping[str, str]


def packages_of(configurations: Iterable[Configuration], registry: Registry) -> list[Package]:
    """dmlbench, and the packages of all components, as this machine has them."""
    targets: dict[str, set[str]] = {BUILT_IN: set()}
    for configuration in configurations:
        for distribution, target in component_targets(configuration, registry):
            targets.setdefault(distribution, set()).add(target)
    return [package_here(name, sorted(found)) for name, found in targets.items()]


def package_here(distribution: str, targets: Sequence[str]) -> Package:
    """A distribution on this machine."""
    if distribution == BUILT_IN:
        return Package(distribution, _version(distribution), {BUILT_IN: _own_sha256()})
    sources = {target: source_sha256(target) for target in targets}
    return Package(distribution, _version(distribution), sources)


def difference(wanted: Package, found: Package) -> str:
    """How another machine differs, in words that follow its name; "" where it does not."""
    name = wanted.distribution
    if found.version is None:
        return f"does not have the package {name} {wanted.version}, which is used here"
    if found.version != wanted.version:
        return f"has {name} {found.version}, and here is {wanted.version}"
    for target, sha256 in wanted.sources.items():
        other = found.sources.get(target)
        if other != sha256:
            what = "other files" if target == name else f"another source of {target}"
            return (
                f"has {name} {found.version} with {what}: SHA-256 {(other or 'none')[:12]} there, "
                f"{sha256[:12]} here"
            )
    return ""


def differences(wanted: Iterable[Package]) -> list[str]:
    """How this machine differs from the one that drives a run."""
    found = ((one, package_here(one.distribution, sorted(one.sources))) for one in wanted)
    return [text for one, here in found if (text := difference(one, here))]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


@functools.cache
def _own_sha256() -> str:
    """SHA-256 (hex) over the modules of dmlbench, by name."""
    root, digest = Path(dmlbench.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
