"""Entries compared: tables, ranks and verdicts."""
