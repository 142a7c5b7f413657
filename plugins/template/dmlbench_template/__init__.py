"""The loss alignment-uniformity as a dmlbench plugin."""
