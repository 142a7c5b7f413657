"""A plan becomes entries: the runner, its executors, tuning and reproduction."""
