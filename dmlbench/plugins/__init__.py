"""Plugins: discovery, the frozen registry, and building the components they offer."""
