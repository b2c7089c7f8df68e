"""Patch-swap as torch operators `pix2rt::patch_match`, `patch_paste` and `patch_swap`; importing registers them.

The definition is in `cuda_ext.reference`. On the CPU the match is a chunked Gram product (`gram_match`), on CUDA our
kernels run (`cuda_launch`). `patch_swap` is the two others one after the other, so an exporter sees those.

`patch_paste` is linear in the features. Its gradient is `patch_paste_adjoint`, whose gradient is `patch_paste` again:
any order of derivative works. The match has no gradient: it is piecewise constant.
"""

from typing import Any

import torch
from torch import Tensor

from cuda_ext.gram_match import match_image
from cuda_ext.reference import OFFSETS

_Sources = list[tuple[Tensor, Tensor]]


def _check(name: str, features: Tensor, hole: Tensor, match: Tensor | None = None) -> None:
    if features.ndim != 4 or 0 in features.shape[1:]:
        raise ValueError(f"{name}: features is {_shape(features)}, expected [N, C, H, W] with C, H and W at least 1")
    if not features.is_floating_point():
        raise TypeError(
            f"{name}: features is {features.dtype}, expected a floating type such as torch.float32; convert it"
        )
    count, _, height, width = features.shape
    if hole.shape != (count, 1, height, width):
        expected = f"[{count}, 1, {height}, {width}] for features {_shape(features)}"
        raise ValueError(
            f"{name}: hole is {_shape(hole)}, expected {expected}, not zero = missing; resize it to the features"
        )
    if hole.is_complex():
        raise TypeError(f"{name}: hole is {hole.dtype}, expected a real type or torch.bool")
    devices = {tensor.device for tensor in (features, hole, match) if tensor is not None}
    if len(devices) > 1:
        raise ValueError(f"{name}: arguments are on {' and '.join(sorted(map(str, devices)))}; move them to one device")
    if height * width >= 2**31:
        raise ValueError(f"{name}: features is {_shape(features)}, indices of H·W pixels must fit int32")
    if match is not None:
        _check_match(name, features, match)


def _check_match(name: str, features: Tensor, match: Tensor) -> None:
    count, _, height, width = features.shape
    if match.shape != (count, height, width):
        expected = f"[{count}, {height}, {width}] for features {_shape(features)}"
        raise ValueError(f"{name}: match is {_shape(match)}, expected {expected}; take it from patch_match")
    if match.dtype != torch.int32:
        raise TypeError(f"{name}: match is {match.dtype}, expected torch.int32; take it from patch_match")


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


@torch.library.custom_op("pix2rt::patch_match", mutates_args=(), device_types="cpu")
def patch_match(features: Tensor, hole: Tensor) -> Tensor:
    """The best key of every query.

    Args:
        features: [N, C, H, W]. On the CPU any floating type, matched in float32; on CUDA float32 or float16, matched
            with float32 sums.
        hole: [N, 1, H, W], any real type; not zero = missing.

    Returns:
        int32 [N, H, W], see `reference.patch_match`.

    Raises:
        ValueError: a shape or device does not fit.
        TypeError: a type does not fit.
        RuntimeError: on CUDA, NVRTC is missing or the GPU is too old.
    """
    _check("patch_match", features, hole)
    holes = (hole[:, 0] != 0).numpy()
    if not len(holes):
        return _empty_match(features)
    return torch.stack([match_image(image.float(), mask) for image, mask in zip(features, holes, strict=True)])


@patch_match.register_kernel("cuda")
def _(features: Tensor, hole: Tensor) -> Tensor:
    from cuda_ext.cuda_launch import launch_match

    _check("patch_match", features, hole)
    return launch_match(features, hole)


@patch_match.register_fake
def _(features: Tensor, hole: Tensor) -> Tensor:
    _check("patch_match", features, hole)
    return _empty_match(features)


def _empty_match(features: Tensor) -> Tensor:
    count, _, height, width = features.shape
    return features.new_empty((count, height, width), dtype=torch.int32)


@torch.library.custom_op("pix2rt::patch_paste", mutates_args=(), device_types="cpu")
def patch_paste(features: Tensor, hole: Tensor, match: Tensor) -> Tensor:
    """Fill the hole with the mean of the matched patches that overlap at each pixel; see `reference.patch_paste`.

    Args:
        features: [N, C, H, W], floating.
        hole: [N, 1, H, W], any real type; not zero = missing.
        match: int32 [N, H, W] of `patch_match`.

    Returns:
        As `features`.

    Raises:
        ValueError: a shape or device does not fit, or a match names a pixel whose patch leaves the map.
        TypeError: a type does not fit.
        RuntimeError: on CUDA, NVRTC is missing or the GPU is too old.
    """
    _check("patch_paste", features, hole, match)
    output = features.clone(memory_format=torch.contiguous_format)
    for image, (pixels, sources, count) in _overlaps(hole, match):
        total = _take(features[image], *sources[0])
        for index, valid in sources[1:]:
            total += _take(features[image], index, valid)
        output[image].flatten(1)[:, pixels] = total.div_(count).to(features.dtype)
    return output


@patch_paste.register_kernel("cuda")
def _(features: Tensor, hole: Tensor, match: Tensor) -> Tensor:
    from cuda_ext.cuda_launch import launch_paste

    _check("patch_paste", features, hole, match)
    return launch_paste(features, hole, match)


@torch.library.custom_op("pix2rt::patch_paste_adjoint", mutates_args=())
def patch_paste_adjoint(gradient: Tensor, hole: Tensor, match: Tensor) -> Tensor:
    """The transpose of `patch_paste`, with the same arguments: the gradient of its input from that of its output.

    Plain torch operations on every device; on CUDA sums of more than two terms are in no fixed order.
    """
    _check("patch_paste_adjoint", gradient, hole, match)
    output = gradient.clone(memory_format=torch.contiguous_format)
    for image, (pixels, sources, count) in _overlaps(hole, match):
        result = output[image].flatten(1)
        result[:, pixels] = 0
        share = _wide(gradient[image].flatten(1)[:, pixels]) / count
        total = _wide(result)
        for index, valid in sources:
            total.index_add_(1, index, torch.where(valid, share, 0))
        result.copy_(total)
    return output


def _wide(tensor: Tensor) -> Tensor:
    """Half types add up in float32."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _take(features: Tensor, index: Tensor, valid: Tensor) -> Tensor:
    return _wide(features.flatten(1).index_select(1, index)).masked_fill_(~valid, 0)


def _overlaps(hole: Tensor, match: Tensor) -> list[tuple[int, tuple[Tensor, _Sources, Tensor]]]:
    """For each image in which something is filled: the filled pixels, and for each of nine offsets their sources.

    Returns:
        (image, (pixels int64 [K], [(source pixels int64 [K], whether there is one, bool [K])] × 9, their number [K])).

    Raises:
        ValueError: a match is neither −1 nor the centre of a patch inside the map.
    """
    _, height, width = match.shape
    y, x = match // width, match % width
    inside = (match >= 0) & (y >= 1) & (y < height - 1) & (x >= 1) & (x < width - 1)
    if not bool((inside | (match == -1)).all()):
        bad = int(match[~(inside | (match == -1))][0])
        raise ValueError(
            f"patch_paste: match holds {bad}, not the centre of a patch inside {height}×{width}; take it from "
            "patch_match"
        )
    missing = (hole[:, 0] != 0).flatten(1)
    padded = torch.nn.functional.pad(match, (1, 1, 1, 1), value=-1)
    images = []
    for image in range(len(match)):
        sources = []
        for dy, dx in OFFSETS:  # the pixel's offset in the query's patch
            key = padded[image, 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width].flatten().long()
            sources.append((key + dy * width + dx, key >= 0))
        count = torch.stack([valid for _, valid in sources]).sum(0)
        pixels = torch.nonzero(missing[image] & (count > 0))[:, 0]
        if len(pixels):
            at = [(index[pixels].clamp_min(0), valid[pixels]) for index, valid in sources]
            images.append((image, (pixels, at, count[pixels])))
    return images


def _fake_paste(features: Tensor, hole: Tensor, match: Tensor) -> Tensor:
    _check("patch_paste", features, hole, match)
    return torch.empty_like(features, memory_format=torch.contiguous_format)


patch_paste.register_fake(_fake_paste)
patch_paste_adjoint.register_fake(_fake_paste)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _paste_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return patch_paste_adjoint(gradient, *ctx.saved_tensors), None, None


def _adjoint_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return patch_paste(gradient, *ctx.saved_tensors), None, None


patch_paste.register_autograd(_paste_backward, setup_context=_save)
patch_paste_adjoint.register_autograd(_adjoint_backward, setup_context=_save)

_LIBRARY = torch.library.Library("pix2rt", "FRAGMENT")  # what it defines lives as long as this module
_LIBRARY.define("patch_swap(Tensor features, Tensor hole) -> Tensor")


@torch.library.impl(_LIBRARY, "patch_swap", "CompositeImplicitAutograd")
def _patch_swap(features: Tensor, hole: Tensor) -> Tensor:
    result: Tensor = patch_paste(features, hole, patch_match(features, hole))
    return result


def patch_swap(features: Tensor, hole: Tensor) -> Tensor:
    """Replace what is missing by the most similar known patches, overlaps averaged; see `reference.patch_swap`.

    Args:
        features: [N, C, H, W], floating; gradients flow to the copied and to the unchanged values.
        hole: [N, 1, H, W], any real type; not zero = missing.

    Returns:
        As `features`.

    Raises:
        ValueError, TypeError, RuntimeError: as `patch_match`.
    """
    result: Tensor = torch.ops.pix2rt.patch_swap(features, hole)
    return result
