"""The conformance kit for plugin authors: checks, benchmarks and `dmlbench check`."""
