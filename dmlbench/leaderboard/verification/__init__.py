"""How far an entry can be trusted: checks, recomputation, reproduction, tiers."""
