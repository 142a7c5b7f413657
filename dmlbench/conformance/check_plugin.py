"""What ``plugin check`` checks: a component against its spec and its kit, a plugin's listing."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dmlbench.conformance.component import check_combiner, check_loss
from dmlbench.conformance.image_checks import IMAGE_CHECKS, Subject
from dmlbench.conformance.kit import Broken, CheckResult, run_checks
from dmlbench.errors import PluginError, UsageError
from dmlbench.plan.expressions import parse_call
from dmlbench.plugins.loading import load_target
from dmlbench.plugins.registry import KINDS, Registered, Registry

#: What dmlbench gives a component by itself, where its signature asks for it.
_OFFERS = {
    "losses": {"num_classes", "embedding_dim"},
    "combiners": {"num_losses", "head_dims", "embedding_dim"},
    "datasets": {"image_size", "whole_images"},
    "backbones": {"image_size"},
}
_KITS = {"losses": check_loss, "combiners": check_combiner}

#: Modules that no listing may import.
HEAVY = ("torch", "timm", "faiss", "pandas")

_LIST_ONE = """
import sys
from dmlbench.plugins.loading import load_plugins
load_plugins(without=sys.argv[2:])
print(*sorted(set(sys.argv[1].split(",")) & set(sys.modules)))
"""


@dataclass(frozen=True)
class Report:
    """What was found out about one subject.

    subject: the canonical name of a component, or the name of a distribution.
    kind: "loss", "combiner", "dataset", "backbone" or "plugin".
    """

    subject: str
    kind: str
    version: str
    results: tuple[CheckResult, ...]

    def count(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)


def check_name(registry: Registry, name: str) -> Iterator[Report]:
    """Check the component or the distribution `name`, and how its distribution is listed.

    name: a component, with parameters if wanted (``"triplet(mining=hard)"``), or a distribution,
        which stands for all that it offers.
    Raises `UsageError` where there is none of that name.
    """
    short, params = parse_call(name)
    found = [registry.resolve(kind, short) for kind in KINDS if registry.find(kind, short)]
    distributions = {record.distribution for record in registry.plugins}
    if not found and short in distributions:
        if params:
            raise UsageError(f"{short} is a distribution, which takes no parameters: {name!r}.")
        found = [item for item in registry.components if item.distribution == short]
        yield check_listing(registry, short)
    elif not found:
        hint = f" Distributions with plugins: {', '.join(sorted(distributions))}."
        try:
            registry.resolve("losses", short)
        except UsageError as error:
            raise UsageError(f"{error}{hint}") from error
    else:
        for distribution in sorted({item.distribution for item in found}):
            yield check_listing(registry, distribution)
    for item in found:
        yield check_component(item, params)


def check_component(item: Registered, params: Mapping[str, Any] | None = None) -> Report:
    """Check a component's spec, and run the conformance kit on it.

    Raises `UsageError` for a parameter that it does not have.
    """
    resolved = item.resolve_params(params or {})
    results = run_checks({"target": _target}, item, {})
    if results[0].outcome == "passed":
        target = load_target(item.spec.target, item.distribution)
        checks = {"defaults": _defaults, **({"heads": _heads} if item.kind == "combiners" else {})}
        results += run_checks(checks, item, {})
        if item.kind in _KITS:
            # A component that cannot be built from its defaults says what the kit may give it.
            given = resolved if params else {**resolved, **getattr(target, "check_params", {})}
            try:
                results += _KITS[item.kind](target, params=given)
            except ValueError as error:
                # The kit refuses one thing: an expected failure of a check that does not exist.
                results.append(CheckResult("expected-failures", "failed", str(error)))
        elif results[-1].outcome == "passed":
            results += run_checks(IMAGE_CHECKS[item.kind], Subject(item, resolved), {})
    return Report(item.id, KINDS[item.kind], item.version, tuple(results))


def check_listing(registry: Registry, distribution: str) -> Report:
    """Check that a distribution's plugins load, and that listing them alone imports nothing heavy.

    The listing is made in a process of its own.
    """
    records = [record for record in registry.plugins if record.distribution == distribution]
    broken = [record for record in records if record.status == "broken"]
    results = [
        CheckResult("loads", "failed" if broken else "passed", "; ".join(r.reason for r in broken)),
        *run_checks({"light-listing": _light_listing}, (registry, distribution), {}),
    ]
    return Report(distribution, "plugin", records[0].version, tuple(results))


def _light_listing(subject: tuple[Registry, str]) -> None:
    registry, distribution = subject
    others = {record.distribution for record in registry.plugins} - {distribution}
    done = subprocess.run(
        [sys.executable, "-c", _LIST_ONE, ",".join(HEAVY), *sorted(others)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Broken(f"listing it alone fails: {done.stderr.strip().splitlines()[-1:]}")
    if done.stdout.strip():
        raise Broken(
            f"listing it imports {', '.join(done.stdout.split())}; name classes in specs by "
            f"target='package.module:Class' and import what is heavy in that module alone"
        )


def _target(item: Registered) -> None:
    try:
        target = load_target(item.spec.target, item.distribution)
    except PluginError as error:
        raise Broken(str(error)) from error
    if not callable(target):
        raise Broken(f"{item.spec.target} is a {type(target).__name__}, which cannot be called")


def _defaults(item: Registered) -> None:
    signature = inspect.signature(load_target(item.spec.target, item.distribution))
    parameters = signature.parameters.values()
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name, default in item.spec.defaults.items():
        if name not in named:
            if not takes_any:
                raise Broken(f"the spec has the parameter {name}, which {signature} lacks")
        elif named[name].default is named[name].empty:
            continue  # the spec alone gives it one
        elif json.dumps(default) != _json_of(named[name].default):
            raise Broken(
                f"{name} is {default!r} in the spec and {named[name].default!r} in the class"
            )
    given = {*item.spec.defaults, *_OFFERS[item.kind]}
    missing = [n for n, p in named.items() if p.default is p.empty and n not in given]
    if missing:
        raise Broken(f"the class needs {', '.join(missing)}, for which the spec has no default")


def _json_of(value: Any) -> str | None:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return None


def _heads(item: Registered) -> None:
    heads = load_target(item.spec.target, item.distribution).heads
    if item.spec.heads != heads:
        raise Broken(f"heads is {item.spec.heads!r} in the spec and {heads!r} in the class")
