"""pix2pixHD as engines: label map to image, image to instance features, and the naive export to measure against."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.errors import ExportError
from export.inference_modules import MAX_INSTANCES, Arrays, Graph, Request
from export.inference_modules.bare_generator import bare_generator
from export.inference_modules.pixels import FEW_CHANNELS, blocks, blocky_image, parameters, to_bytes, unit_range
from export.network_rewrites import (
    ShuffledConv,
    drop_cancelled_biases,
    fold_batch_norms,
    inference_copy,
    split_uneven_convs,
    to_half,
)
from runtime.engines.spec import StyleBank, TensorSpec
from training.checkpoint import Checkpoint
from training.networks.label_encoding import instance_edges, one_hot
from training.networks.pix2pixhd import Architecture, Generator

_RGB = 3


def engines(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> list[Graph]:
    """The synthesizer, or the translator where the input is an image, and the style encoder if there is one.

    Raises:
        ExportError: no runner feeds or shows such a network.
    """
    a: Architecture = checkpoint.architecture
    if not a.label_nc and (a.use_edges or a.feat_num):
        raise ExportError(
            "this network takes an RGB image together with "
            + " and ".join(["instance edges"] * a.use_edges + ["instance features"] * bool(a.feat_num))
            + ": no runner feeds both, so only --baseline can be exported; train on label maps, or with --no-edges and "
            "without features"
        )
    if a.label_nc and a.output_nc != _RGB:
        raise ExportError(
            f"this network makes images of {a.output_nc} channels from a label map, and runtime.Synthesizer gives RGB; "
            "only --baseline can be exported; train with --output_nc 3"
        )
    graphs = [_synthesis(checkpoint, cast("Generator", networks["generator"]), request)]
    if "encoder" in networks:
        graphs.append(_encoding(a, networks["encoder"], request))
    return graphs


def baseline(checkpoint: Checkpoint, networks: Mapping[str, nn.Module], request: Request) -> Graph:
    """The generator alone; its input are the encoded labels."""
    a: Architecture = checkpoint.architecture

    def example(count: int, height: int, width: int, rng: np.random.Generator) -> Tensor:
        return _encoded(a, _examples(a, count, height, width, rng))

    sides = (a.size_multiple, _smallest_side(a))
    known = {"labels": checkpoint.labels, "styles": _style_bank(checkpoint)}
    return bare_generator(networks["generator"], (a.input_nc, a.output_nc), sides, example, **known)


class Synthesis(nn.Module):
    """Bytes in, bytes out: encoding, generator, quantisation.

    Args:
        generator: the trained network; it is left as it is.
        architecture: its parameters.
        dtype: what the convolutions compute in.
    """

    def __init__(self, generator: Generator, architecture: Architecture, dtype: torch.dtype) -> None:
        super().__init__()
        self.architecture, self.dtype = architecture, dtype
        self.generator = inference_copy(generator)
        fold_batch_norms(self.generator)
        drop_cancelled_biases(self.generator)
        pad, conv, _ = cast("nn.Sequential", self.generator.head)
        few = architecture.output_nc <= FEW_CHANNELS
        self.generator.head = nn.Sequential(pad, ShuffledConv(cast("nn.Conv2d", conv)) if few else conv)
        if dtype == torch.float16:
            to_half(self.generator)
        else:
            split_uneven_convs(self.generator)  # the CPU's precision; a GPU's tensor cores take blocks of 8

    def forward(self, source: Tensor, inst_map: Tensor | None = None, styles: Tensor | None = None) -> Tensor:
        """The tensors of `encode` → image uint8 [N, H, W, 3]."""
        x = encode(self.architecture, source, inst_map, styles, self.dtype)
        return to_bytes(torch.tanh(self.generator(x).to(torch.float32)))


class Encoding(nn.Module):
    """Image uint8 [N, H, W, 3] → features float32 [N, feat_num, H, W], not yet averaged over instances."""

    def __init__(self, encoder: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.encoder = inference_copy(encoder)
        fold_batch_norms(self.encoder)
        drop_cancelled_biases(self.encoder)
        if dtype == torch.float16:
            to_half(self.encoder)

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.encoder(unit_range(image).to(self.dtype))
        return features.to(torch.float32)


def encode(
    architecture: Architecture,
    source: Tensor,
    inst_map: Tensor | None = None,
    styles: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The generator's input [N, input_nc, H, W]: [one-hot or RGB][edges][features].

    Args:
        architecture: of the generator; says which tensors it takes.
        source: label map uint8 [N, H, W], or image uint8 [N, H, W, 3] where label_nc is 0.
        inst_map: int32 [N, H, W], where there are edges or features.
        styles: float32 [N, K, feat_num], where there are features; `inst_map` then holds rows of it.
        dtype: of the result.
    """
    channels = [
        one_hot(source, architecture.label_nc, dtype) if architecture.label_nc else unit_range(source).to(dtype)
    ]
    if architecture.use_edges and inst_map is not None:
        channels.append(instance_edges(inst_map, dtype))
    if styles is not None and inst_map is not None:
        channels.append(_style_features(inst_map, styles).to(dtype))
    return torch.cat(channels, dim=1) if len(channels) > 1 else channels[0]


def _encoded(architecture: Architecture, arrays: Arrays) -> Tensor:
    """`encode` of arrays by input name."""
    source = arrays["label_map" if architecture.label_nc else "image"]
    inst_map, styles = (torch.from_numpy(arrays[name]) if name in arrays else None for name in ("inst_map", "styles"))
    return encode(architecture, torch.from_numpy(source), inst_map, styles)


def _style_features(inst_map: Tensor, styles: Tensor) -> Tensor:
    """Row inst_map[n, y, x] of styles[n] at every pixel: [N, H, W], [N, K, F] → [N, F, H, W]."""
    count, rows, _ = styles.shape
    first_row = torch.arange(count, dtype=torch.int32).view(-1, 1, 1) * rows
    return nn.functional.embedding(inst_map + first_row, styles.flatten(0, 1)).permute(0, 3, 1, 2)


def _synthesis(checkpoint: Checkpoint, generator: Generator, request: Request) -> Graph:
    a: Architecture = checkpoint.architecture
    output = "image" if a.label_nc else "translation"  # ONNX wants an output's name to differ from the input's

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            return {output: to_bytes(generator(_encoded(a, arrays))).numpy()}

    return Graph(
        kind="synthesizer" if a.label_nc else "translator",
        suffix="",
        module=Synthesis(generator, a, request.dtype).eval(),
        inputs=_synthesis_inputs(a),
        outputs=(TensorSpec(output, "uint8", ("N", "H", "W", a.output_nc)),),
        size_multiple=a.size_multiple,
        smallest_side=_smallest_side(a),
        parameters=parameters(generator),
        examples=lambda count, height, width, rng: _examples(a, count, height, width, rng),
        reference=reference,
        labels=checkpoint.labels,
        styles=_style_bank(checkpoint),
        fake_image=True,
    )


def _encoding(architecture: Architecture, encoder: nn.Module, request: Request) -> Graph:
    image_nc = architecture.output_nc
    inputs = (TensorSpec("image", "uint8", ("N", "H", "W", image_nc)),)

    def reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            return {"feat_map": encoder(unit_range(torch.from_numpy(arrays["image"]))).numpy()}

    return Graph(
        kind="style_encoder",
        suffix=".encoder",
        module=Encoding(encoder, request.dtype).eval(),
        inputs=inputs,
        outputs=(TensorSpec("feat_map", "float32", ("N", architecture.feat_num, "H", "W")),),
        size_multiple=architecture.size_multiple,
        smallest_side=_smallest_side(architecture),
        parameters=parameters(encoder),
        examples=lambda count, height, width, rng: {"image": blocky_image(count, height, width, image_nc, rng)},
        reference=reference,
    )


def _synthesis_inputs(architecture: Architecture) -> tuple[TensorSpec, ...]:
    inputs = [TensorSpec("image", "uint8", ("N", "H", "W", architecture.image_nc))]
    if architecture.label_nc:
        inputs = [TensorSpec("label_map", "uint8", ("N", "H", "W"))]
    if architecture.use_edges or architecture.feat_num:
        inputs.append(TensorSpec("inst_map", "int32", ("N", "H", "W")))
    if architecture.feat_num:
        inputs.append(TensorSpec("styles", "float32", ("N", "K", architecture.feat_num)))
    return tuple(inputs)


def _examples(
    a: Architecture, count: int, height: int, width: int, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Random blocky maps: every class occurs on large maps, objects have straight and ragged borders."""
    inst_map = blocks(count, height, width, rng, MAX_INSTANCES)
    arrays: dict[str, NDArray[Any]] = {
        "label_map": rng.integers(0, max(a.label_nc, 1), MAX_INSTANCES, np.uint8)[inst_map],
        "image": blocky_image(count, height, width, a.image_nc, rng),
        "inst_map": inst_map,
        "styles": rng.uniform(-1, 1, (count, MAX_INSTANCES, a.feat_num)).astype(np.float32),
    }
    return {tensor.name: arrays[tensor.name] for tensor in _synthesis_inputs(a)}


def _style_bank(checkpoint: Checkpoint) -> StyleBank | None:
    if not checkpoint.architecture.feat_num:
        return None
    centres = {class_id: tuple(map(tuple, styles.tolist())) for class_id, styles in sorted(checkpoint.styles.items())}
    return StyleBank(checkpoint.architecture.feat_num, centres)


def _smallest_side(architecture: Architecture) -> int:
    """The innermost blocks reflect one pixel of a map that is `size_multiple` times smaller; the ends reflect 3."""
    return max(2 * architecture.size_multiple, 4)
