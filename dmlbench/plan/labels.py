"""What a configuration is called where several are listed: its names, and what differs.

Only parameters that are not the default are named, as one types them on the command line.
"""

from __future__ import annotations

from dmlbench.plan.config import Component, Configuration
from dmlbench.plan.identity import same
from dmlbench.plan.writing import row_name, write_call
from dmlbench.plugins.registry import Registry


def label(configuration: Configuration, registry: Registry) -> str:
    """``triplet(margin=0.1)``, or ``wedl(triplet(margin=0.1) + multi-similarity)``.

    Of a combiner with brackets of its own, ``fixed(weights=[1, 2]) of triplet + supcon``.
    """
    losses = [_named("losses", loss, registry) for loss in configuration.losses]
    combiner = configuration.combiner
    return row_name(_named("combiners", combiner, registry) if combiner else None, losses)


def _named(kind: str, component: Component, registry: Registry) -> str:
    found = registry.find(kind, component.id)
    # Of a component that is not installed nobody knows the defaults.
    defaults = found[0].spec.defaults if found else {}
    own = {
        name: value
        for name, value in component.params.items()
        if name not in defaults or not same(value, defaults[name])
    }
    return write_call(component.name, own)
