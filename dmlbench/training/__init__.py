"""One trial: build the parts, train them, select a checkpoint, evaluate it on the test set."""
