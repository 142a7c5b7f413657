"""A dataset that trains in a second, and a loss that breaks when it is told to."""
