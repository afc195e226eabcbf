"""Saved models: a folder with a model card, its ONNX export, inference on ONNX Runtime or TensorFlow."""
