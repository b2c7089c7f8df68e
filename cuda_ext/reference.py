"""Patch-swap word for word from its definition, for reading and for checking the fast forms against.

P(p) is the 3×3×C patch of the features centred at p, zero-padded at the border of the map. A *query* is a p whose 3×3
window touches the hole, a *key* a q whose 3×3 window lies inside the map and wholly outside the hole.

The arithmetic that makes a match the same in every form: ⟨P(p), P(q)⟩ and ‖P(q)‖² are float32 sums, the score is
⟨P(p), P(q)⟩ · (1 / max(‖P(q)‖, 1e-8)), each operation rounded to float32. Features that are not finite, or above 1e15
in magnitude (their squares would overflow), count as zero in the match; paste copies them as they are.
"""

import numpy as np
from numpy.typing import NDArray

NORM_FLOOR = 1e-8
LARGEST = 1e15
OFFSETS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))


def queries_and_keys(hole: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pixels are queries and which are keys, both bool [H, W], of one hole, bool [H, W]."""
    height, width = hole.shape
    touches, inside = np.pad(hole, 1), np.pad(~hole, 1)
    windows = [(slice(1 + dy, 1 + dy + height), slice(1 + dx, 1 + dx + width)) for dy, dx in OFFSETS]
    return np.logical_or.reduce([touches[w] for w in windows]), np.logical_and.reduce([inside[w] for w in windows])


def patch_match(features: NDArray[np.floating], hole: NDArray[np.generic]) -> NDArray[np.int32]:
    """The best key of every query.

    Args:
        features: [N, C, H, W].
        hole: [N, 1, H, W], any dtype; not zero = missing.

    Returns:
        int32 [N, H, W]: row-major index y·W + x of the key with the highest score, the smallest index among equals;
        −1 where there is no query, and everywhere in an image that has no key.
    """
    return np.stack([_match_image(image, mask[0] != 0) for image, mask in zip(features, hole, strict=True)])


def _match_image(features: NDArray[np.floating], hole: NDArray[np.bool_]) -> NDArray[np.int32]:
    channels, height, width = features.shape
    match = np.full((height, width), -1, np.int32)
    is_query, is_key = queries_and_keys(hole)
    if not is_key.any():
        return match
    with np.errstate(invalid="ignore"):
        usable = np.where(np.abs(features) <= LARGEST, features, 0).astype(np.float64)
    padded = np.pad(usable, ((0, 0), (1, 1), (1, 1)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))  # [C, H, W, 3, 3]
    keys = patches[:, is_key].transpose(1, 0, 2, 3).reshape(-1, channels * 9)
    norms = np.sqrt((keys**2).sum(1).astype(np.float32))
    scales = np.float32(1) / np.maximum(norms, np.float32(NORM_FLOOR))
    indices = np.flatnonzero(is_key)
    for y, x in np.argwhere(is_query):
        products = (keys @ patches[:, y, x].reshape(-1)).astype(np.float32)
        match[y, x] = indices[np.argmax(products * scales)]  # argmax: the first of equals
    return match


def patch_paste(
    features: NDArray[np.floating], hole: NDArray[np.generic], match: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Fill the hole: each missing x becomes the mean, over the queries p around it, of features(match(p) + x − p).

    Args:
        features: [N, C, H, W].
        hole: [N, 1, H, W], any dtype; not zero = missing.
        match: of `patch_match`, int [N, H, W].

    Returns:
        As `features`; known pixels, and missing ones around which nothing matched, are unchanged.
    """
    output = features.copy()
    _, _, height, width = features.shape
    for n, y, x in np.argwhere(hole[:, 0] != 0):
        copies = []
        for dy, dx in OFFSETS:  # x − p
            p = (y - dy, x - dx)
            if 0 <= p[0] < height and 0 <= p[1] < width and match[n][p] >= 0:
                key_y, key_x = divmod(int(match[n][p]), width)
                copies.append(features[n, :, key_y + dy, key_x + dx].astype(np.float64))
        if copies:
            output[n, :, y, x] = np.mean(copies, axis=0)
    return output


def patch_swap(features: NDArray[np.floating], hole: NDArray[np.generic]) -> NDArray[np.floating]:
    """`patch_paste` of `patch_match`: no hole, or no key, gives the features back."""
    return patch_paste(features, hole, patch_match(features, hole))
