"""Which code a configuration's numbers depend on, and the defaults that the code here has."""

from __future__ import annotations

import dataclasses

from dmlbench.plan.config import Component, Configuration
from dmlbench.plan.identity import BUILT_IN, current_code
from dmlbench.plugins.registry import Registry
from dmlbench.plugins.sources import source_sha256


def code_sha256(configuration: Configuration, registry: Registry) -> str:
    """Hash over all code that a configuration's numbers depend on."""
    return current_code(component_sources(configuration, registry))


def component_sources(configuration: Configuration, registry: Registry) -> dict[str, str | None]:
    """Source hash of each component, by kind and id; None for what comes with dmlbench."""
    return {
        f"{kind}/{component.id}": None
        if component.distribution == BUILT_IN
        else source_sha256(registry.resolve(kind, component.id).spec.target)
        for kind, component in _components(configuration)
    }


def component_targets(configuration: Configuration, registry: Registry) -> set[tuple[str, str]]:
    """Distribution and target of each component that does not come with dmlbench."""
    return {
        (component.distribution, registry.resolve(kind, component.id).spec.target)
        for kind, component in _components(configuration)
        if component.distribution != BUILT_IN
    }


def _components(configuration: Configuration) -> list[tuple[str, Component]]:
    chosen = [("losses", loss) for loss in configuration.losses]
    chosen += [("combiners", configuration.combiner)] if configuration.combiner else []
    return [*chosen, ("datasets", configuration.dataset), ("backbones", configuration.backbone)]


def with_defaults(configuration: Configuration, registry: Registry) -> Configuration:
    """The configuration with each component's defaults as the plugins here have them.

    Parameters that a component got since the configuration was written have their default.
    """

    def filled(kind: str, component: Component) -> Component:
        item = registry.resolve(kind, component.id)
        return Component(
            distribution=component.distribution,
            name=component.name,
            params=item.resolve_params(component.params),
            defaults=item.spec.defaults,
        )

    combiner = configuration.combiner
    return dataclasses.replace(
        configuration,
        losses=tuple(filled("losses", loss) for loss in configuration.losses),
        combiner=filled("combiners", combiner) if combiner else None,
        dataset=filled("datasets", configuration.dataset),
        backbone=filled("backbones", configuration.backbone),
    )
