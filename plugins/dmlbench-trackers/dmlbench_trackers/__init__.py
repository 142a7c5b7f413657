"""Trackers for dmlbench: TensorBoard, MLflow and Weights & Biases."""
