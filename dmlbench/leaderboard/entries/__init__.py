"""Entries and the files beside them: the only place that reads and writes them."""
