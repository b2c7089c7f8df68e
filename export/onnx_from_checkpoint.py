"""Checkpoint → self-describing ONNX engine, compared with the checkpoint before it gets its name."""

import gc
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import onnx
import torch
from torch import nn

from export.cost import cost_of
from export.embedded_program import save_engine
from export.errors import ExportError, NoProgramError
from export.family_options import make_options
from export.gate import Example, make_examples, run_gate
from export.inference_modules import Graph, Request, family_graphs
from export.parity import worst
from export.program_from_onnx import program_from_onnx
from export.torch_to_onnx import static_tensors, torch_to_onnx
from runtime.engines.spec import EngineSpec
from runtime.files import atomic_path
from runtime.version import __version__
from training.checkpoint import Checkpoint, load_checkpoint, sha256_of
from training.networks.normalization import MODES

PRECISIONS = ("fp32", "fp16")
MAX_SIDE = 16384
_DYNAMIC_COST_SIZE = 512

Report = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """One file written.

    Attributes:
        path: the file.
        spec: its specification.
        backends: what ran it in the gate.
        obstacle: why it has no program; empty where it has one.
    """

    path: Path
    spec: EngineSpec
    backends: tuple[str, ...]
    obstacle: str


def export_onnx(
    checkpoint_path: str | Path,
    output: str | Path,
    *,
    size: tuple[int, int] | None = None,
    precision: str = "fp32",
    baseline: bool = False,
    normalization: str | None = None,
    options: Mapping[str, object] = MappingProxyType({}),
    report: Report = lambda step: None,
) -> list[Exported]:
    """Write every engine of a checkpoint: `output`, and beside it `NAME.encoder.onnx` where there is an encoder.

    Args:
        checkpoint_path: of a `.safetensors` checkpoint.
        output: name of the main engine, ending in `.onnx`.
        size: fixed (H, W) with N = 1; None leaves N, H, W and K free.
        precision: "fp32" or "fp16".
        baseline: the plain network with float input instead, as a yardstick for benchmarks.
        normalization: whose statistics BatchNorm uses, one of `MODES`; None for what the checkpoint says.
        options: of the checkpoint's family, by the names in `export.family_options`; the others keep their defaults.
        report: called with the name of each step as it starts.

    Raises:
        MissingFileError, CheckpointError: no such checkpoint, it is damaged, or has no layer to normalise so.
        ExportError: it cannot become an engine of this form.
        ParityError: an engine does not reproduce the checkpoint; none was written.
    """
    output = Path(output)
    report("read checkpoint")
    checkpoint = load_checkpoint(checkpoint_path)
    request = Request(size, precision, make_options(checkpoint.family, options))
    _check_request(request, output, baseline, normalization)
    checkpoint.normalization = normalization or checkpoint.normalization
    graphs = graphs_of(checkpoint, request, baseline)
    family, normalization = checkpoint.family, checkpoint.normalization
    del checkpoint  # its tensors were copied into the networks; at full size every copy counts
    digest = sha256_of(checkpoint_path)
    exported = []
    with ExitStack() as files:  # all of a checkpoint's engines get their names, or none does
        while graphs:
            graph = graphs.pop(0)
            path = output.with_suffix(f"{graph.suffix}.onnx")
            check_size(graph, size)
            report(f"{graph.kind}: run checkpoint")
            examples = make_examples(graph, size)
            report(f"{graph.kind}: trace")
            model = torch_to_onnx(graph, size)
            spec = _spec_of(graph, model, size, family, normalization, precision, digest)
            del graph  # and its networks, unless an example still asks them
            gc.collect()
            exported.append(_write(model, spec, examples, path, files.enter_context(atomic_path(path)), report))
    return exported


def graphs_of(checkpoint: Checkpoint, request: Request, baseline: bool = False) -> list[Graph]:
    """The engines that a checkpoint can become.

    Raises:
        CheckpointError: the weights do not fit the architecture.
        ExportError: a weight is not finite, or the family has no engines.
    """
    family = family_graphs(checkpoint.family)
    if request.options is None:
        request = replace(request, options=make_options(checkpoint.family, {}))
    networks = checkpoint.build()
    for network, module in networks.items():
        _check_finite(network, module)
    if baseline:
        if not hasattr(family, "baseline"):
            raise ExportError(f"--baseline: nothing naive does what a {checkpoint.family} engine does; leave it out")
        return [family.baseline(checkpoint, networks, request)]
    graphs: list[Graph] = family.engines(checkpoint, networks, request)
    return graphs


def check_size(graph: Graph, size: tuple[int, int] | None) -> None:
    """Raises ExportError unless the network takes images of `size`; names the nearest that fits."""
    if size is None:
        return
    multiple, smallest, largest = (
        graph.size_multiple,
        graph.smallest_side,
        MAX_SIDE // graph.size_multiple * graph.size_multiple,
    )
    if any(not smallest <= side <= largest or side % multiple for side in size):
        nearest = [min(max(round(side / multiple) * multiple, smallest), largest) for side in size]
        raise ExportError(
            f"--size {size[0]}x{size[1]}: height and width must be multiples of {multiple} from {smallest} to "
            f"{largest} for this network; the nearest that fits is {nearest[0]}x{nearest[1]}"
        )


def _write(
    model: onnx.ModelProto, spec: EngineSpec, examples: list[Example], path: Path, temporary: Path, report: Report
) -> Exported:
    """Put an engine into `temporary`, which becomes `path`."""
    obstacle, program = "", None
    try:
        program = program_from_onnx(model, spec)
    except NoProgramError as error:
        obstacle = str(error)
    save_engine(model, spec, program, temporary)
    report(f"{spec.kind}: compare engine and checkpoint")
    figures = run_gate(temporary, examples, spec.precision)
    spec = replace(spec, parity=worst(figures.values()).figures())
    save_engine(model, spec, program, temporary)
    return Exported(path, spec, tuple(figures), obstacle)


def _spec_of(
    graph: Graph,
    model: onnx.ModelProto,
    size: tuple[int, int] | None,
    family: str,
    normalization: str,
    precision: str,
    digest: str,
) -> EngineSpec:
    inputs, outputs = static_tensors(graph.inputs, size), static_tensors(graph.outputs, size)
    cost_size = size or graph.own_size or (max(_DYNAMIC_COST_SIZE, graph.size_multiple),) * 2
    shapes = {tensor.name: tensor.shape for tensor in static_tensors(graph.inputs, cost_size)}
    return EngineSpec(
        kind=graph.kind,
        family=family,
        inputs=inputs,
        outputs=outputs,
        size=size,
        size_multiple=graph.size_multiple,
        smallest_side=graph.smallest_side,
        labels=graph.labels,
        styles=graph.styles,
        normalization=normalization,
        precision=precision,
        cost=cost_of(model, shapes, cost_size, graph.parameters),  # type: ignore[arg-type]
        checkpoint_sha256=digest,
        options=graph.options,
        recipe=graph.recipe,
        versions={"pix2rt": __version__, "torch": torch.__version__, "onnx": onnx.__version__},
    )


def _check_request(request: Request, output: Path, baseline: bool, normalization: str | None) -> None:
    if output.suffix != ".onnx":
        raise ExportError(
            f"output {output}: an ONNX engine's name ends in .onnx; pass -o {output.with_suffix('.onnx')}"
        )
    if request.precision not in PRECISIONS:
        raise ExportError(f"--precision {request.precision!r} is not one of {', '.join(PRECISIONS)}")
    if normalization is not None and normalization not in MODES:
        raise ExportError(f"--normalization {normalization!r} is not one of {', '.join(MODES)}")
    if baseline and (request.precision != "fp32" or request.size is None):
        raise ExportError("--baseline is the naive export: float32 at a fixed --size, without --dynamic")


def _check_finite(network: str, module: nn.Module) -> None:
    for name, tensor in module.state_dict().items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise ExportError(
                f"{network}.{name}: {bad} of {tensor.numel()} weights are NaN or infinite; the training run diverged, "
                "export an earlier checkpoint"
            )
