"""Turns checkpoints into engines: ONNX files that describe themselves, and TensorRT plans. See README.md."""
