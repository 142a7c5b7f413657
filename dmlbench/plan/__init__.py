"""A request becomes configurations: recipes, protocol, labels and value checks."""
