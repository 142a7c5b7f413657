"""Image sets, splits, batches and transforms: everything between a dataset and a batch."""
