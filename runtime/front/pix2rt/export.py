"""`pix2rt.export`: checkpoints to engines; see `export.api`."""

from export.api import import_weights, onnx, validate

__all__ = ["import_weights", "onnx", "validate"]
