"""Entries, their store, and the tables made from them."""
