"""Plugins that try to win by other means than a better embedding."""
