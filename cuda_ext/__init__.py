"""Patch-swap, the operator of contextual inpainting: reference, torch operators, ONNX functions, CUDA kernels."""
