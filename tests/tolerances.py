"""Every tolerance of the parity tests in one place, each with the worst case measured when it was set."""

# Grey levels between an engine's bytes and the checkpoint's. Truncation turns a difference of 1e-6 into one level.
GREY_LEVELS = {"fp32": 1}  # worst measured: 1, in 0.13 % of the bytes (1024×2048)

# Peak signal-to-noise ratio of an engine's bytes, dB.
PSNR_DB = {"fp16": 45.0}  # worst measured: 58.1 (1024×2048), 60.7 on tiny networks

# Largest difference of float values in [−1, 1] …
FLOATS = {
    "rewrite": 1e-5,  # between a rewritten layer and the layer; worst measured: 2.8e-6
    "engine": 1e-4,  # between an fp32 engine and the original networks' outputs; worst measured: 2.7e-6
}

# Largest difference of patch-swap's output between any form and the reference, features in [−2, 2].
PATCH_SWAP = {
    "fp32": 1e-5,  # worst measured: 0 on features whose sums are exact
    "fp16": 1e-3,  # the rounding of the output; worst measured: 4.4e-4
}

# Of the Contextual GAN's search, relative …
COMPLETION = {
    "gradient": 1e-5,  # norm of the difference to autograd in float64; worst measured: 9.4e-7
    "500 steps": 0.01,  # losses of the engine and of torch, step by step; worst measured: 2.6e-6
    "500 native steps": 5e-3,  # losses of the shipped engine, native and in ONNX Runtime; worst of ten steps: 6.3e-4
}
