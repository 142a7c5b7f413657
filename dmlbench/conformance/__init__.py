"""The conformance kit for plugin authors: checks, benchmarks and `dmlbench plugin check`."""
