"""Leaderboards of many entries: listed from a cache, brought group by group, laid out as tables."""
