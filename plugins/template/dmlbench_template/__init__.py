"""Alignment and uniformity as a dmlbench plugin."""
