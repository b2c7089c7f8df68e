"""The layers of `runtime.engines.program_completion` in plain numpy and float64, for `program_reference`."""

import numpy as np


def from_vector(layer, weights, x):
    return x[..., None, None].astype(np.float64)


def to_vector(layer, weights, x):
    return x[..., 0, 0].astype(np.float32)


def to_scalar(layer, weights, x):
    return x[:, 0, 0, 0].astype(np.float32)


def expand(layer, weights, x):
    matrix = weights[layer.weight].reshape(x.shape[1], -1)
    return (x[..., 0, 0] @ matrix + _or_zero(weights, layer.bias)).reshape(len(x), *layer.shape)


def contract(layer, weights, x):
    flat = x.reshape(len(x), -1)
    return (flat @ weights[layer.weight].reshape(-1, flat.shape[1]).T + _or_zero(weights, layer.bias))[..., None, None]


def _or_zero(weights, name):
    return 0 if name is None else weights[name]


def leaky_relu_gradient(layer, weights, x, gradient):
    return np.where(x > 0, gradient, layer.alpha * gradient)


def tanh_gradient(layer, weights, made, gradient):
    return gradient * (1 - made**2)


def _weighted(layer, image, observed, known_mask):
    """M, M·d(y) and d(image)."""
    known = known_mask[:, None] / 255
    wanted, made = ((1 - x) * layer.slope + layer.offset for x in (observed.transpose(0, 3, 1, 2) / 127.5 - 1, image))
    return known, known * wanted, made


def _total(x):
    return x.sum((1, 2, 3), keepdims=True)


def contextual_loss(layer, weights, image, observed, known_mask):
    known, wanted, made = _weighted(layer, image, observed, known_mask)
    p, q = wanted / _total(wanted), known * made / _total(known * made)
    return _total(np.where(known > 0, p * np.log(np.where(p > 0, p, 1) / np.where(q > 0, q, 1)), 0))


def contextual_gradient(layer, weights, image, observed, known_mask):
    known, wanted, made = _weighted(layer, image, observed, known_mask)
    return -layer.slope * (known / _total(known * made) - wanted / _total(wanted) / made)


def perceptual_loss(layer, weights, score):
    return -np.logaddexp(0, score)


def perceptual_gradient(layer, weights, score, perceptual_weight):
    return -perceptual_weight / (1 + np.exp(-score))


def momentum(layer, weights, velocity, gradient, kept, learning_rate):
    return kept * velocity - learning_rate * gradient


def bounded_sum(layer, weights, z, velocity, limit):
    return np.clip(z + velocity, -limit, limit)


COMPLETION = {
    function.__name__: function
    for function in (
        *(from_vector, to_vector, to_scalar, expand, contract, leaky_relu_gradient, tanh_gradient, contextual_loss),
        *(contextual_gradient, perceptual_loss, perceptual_gradient, momentum, bounded_sum),
    )
}
