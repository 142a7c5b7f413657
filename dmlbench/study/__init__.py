"""Studies: a design that is written down before the runs, and the answers computed from them."""
