"""Options of `evaluate` and `ablation` that choose what is measured, and the measures made from them."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from runtime.files import require_file
from training.checkpoint import Checkpoint, sha256_of
from training.class_tables import CITYSCAPES, table_without_parts
from training.commands.console import REST
from training.data.augmentation import parse_size
from training.evaluation.appearance import Appearance, Fidelity
from training.evaluation.features import FeatureDistance
from training.evaluation.figures import Measure
from training.evaluation.onnx_network import NORMALIZATIONS, OnnxNetwork
from training.evaluation.segmentation import FcnScore, Segmenter

_NORMS = ", ".join(NORMALIZATIONS)
FeaturesPath = Annotated[
    Path | None,
    typer.Option("--features", help="ONNX network of features, for the distances in them", rich_help_panel=REST),
]
FeaturesNorm = Annotated[str, typer.Option(help=f"what the network of features takes: {_NORMS}", rich_help_panel=REST)]
FeaturesSize = Annotated[
    str, typer.Option(help="HEIGHTxWIDTH it sees; default its own, or the image's", rich_help_panel=REST)
]


@dataclass(frozen=True)
class MeasureOptions:
    """What the user chose to measure; each field is an option of the command line."""

    segmenter: Annotated[
        Path | None, typer.Option(help="ONNX segmenter, for the FCN-score; data needs label maps", rich_help_panel=REST)
    ] = None
    segmenter_norm: Annotated[
        str, typer.Option(help=f"what a segmenter with float input takes: {_NORMS}", rich_help_panel=REST)
    ] = "imagenet"
    segmenter_size: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH the segmenter sees; default its own, or the image's", rich_help_panel=REST)
    ] = ""
    segmenter_classes: Annotated[
        int | None,
        typer.Option(
            min=1, help="classes of a segmenter whose output is ids; default the label maps'", rich_help_panel=REST
        ),
    ] = None
    features: FeaturesPath = None
    features_norm: FeaturesNorm = "imagenet"
    features_size: FeaturesSize = ""

    def measures(self, checkpoint: Checkpoint) -> list[Measure]:
        """New measures for the images of `checkpoint`.

        Raises:
            MissingFileError, EngineFormatError, InputError: a network is missing or does not fit.
        """
        measures: list[Measure] = [Fidelity(), Appearance()]
        if self.segmenter is not None:
            # pix2pix reads label maps of Cityscapes only; what judges photos knows objects, not their parts
            labels = table_without_parts(checkpoint.labels or CITYSCAPES)
            size = parse_size(self.segmenter_size)
            segmenter = Segmenter(self.segmenter, labels, self.segmenter_norm, size, self.segmenter_classes)
            measures.append(FcnScore(segmenter))
        if network := self.network():
            measures.append(FeatureDistance(network))
        return measures

    def network(self) -> OnnxNetwork | None:
        """The network of features, if one was given; errors as of `measures`."""
        if self.features is None:
            return None
        return OnnxNetwork(self.features, "features", self.features_norm, parse_size(self.features_size))

    def document(self) -> dict[str, str]:
        """What the figures depend on: the options that say something, files by their SHA-256.

        Raises:
            MissingFileError: a network is missing.
        """
        chosen = {name: value for name, value in dataclasses.asdict(self).items() if value}
        prefixes = [name for name in ("segmenter", "features") if name in chosen]
        said = {name: str(value) for name, value in chosen.items() if name.startswith(tuple(prefixes))}
        return said | {name: sha256_of(require_file(chosen[name], name)) for name in prefixes}
