"""The losses of pytorch-metric-learning as a dmlbench plugin."""
