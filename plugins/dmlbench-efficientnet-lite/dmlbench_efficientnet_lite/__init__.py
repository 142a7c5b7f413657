"""EfficientNet-Lite0, with weights that come as a package, as a dmlbench plugin."""
