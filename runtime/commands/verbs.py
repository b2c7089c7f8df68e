"""The verbs of `pix2rt`: those of the runtime, and those of training and export.

The latter are named, never imported: the runtime stands without them, and torch is loaded by the verbs that need it.
"""

from runtime.commands.lazy import Entry

RUN, ENGINES, MAKE, TRAIN = "Run engines", "Engines", "Make engines", "Train"

_FAMILIES = ("pix2pix", "pix2pixhd", "contextual_gan", "inpainting", "feature_network", "segmenter")


def _own(summary: str, source: str, panel: str) -> Entry:
    return Entry(summary, f"runtime.commands.{source}", panel=panel)


def _export(summary: str, command: str, panel: str = MAKE) -> Entry:
    return Entry(summary, "export.__main__:app", command, panel, "export")


def _training(summary: str, module: str, command: str = "", panel: str = TRAIN) -> Entry:
    return Entry(summary, f"training.commands.{module}:app", command, panel, "training")


def _group(summary: str, entries: dict[str, Entry], panel: str = TRAIN) -> Entry:
    return Entry(summary, panel=panel, entries=entries)


VERBS = {
    "translate": _own(
        "Turn images, or a video's frames, into what the engine makes of them.", "translate:translate", RUN
    ),
    "synthesize": _own("Turn label maps into photos.", "synthesize:synthesize", RUN),
    "inpaint": _own("Fill the holes of images.", "inpaint:inpaint", RUN),
    "complete": _own("Make the photo that a sketch belongs to, or a photo's sketch.", "complete:complete", RUN),
    "demo": _own("Run the engines that ship on the pictures that ship.", "demo:demo", RUN),
    "studio": _own("Paint, restyle, fill and draw in the browser.", "studio:studio", RUN),
    "serve": _own("Serve engines over HTTP: a picture in, a picture out.", "serve:serve", RUN),
    "models": _own("List the engines that have a name.", "models:models_command", ENGINES),
    "info": _own("Show what an engine is, without loading it.", "info:info", ENGINES),
    "bench": _own("Measure an engine end to end, or two in turns.", "bench:bench", ENGINES),
    "build": _own("Build a TensorRT plan for this machine's GPU.", "build:build", ENGINES),
    "doctor": _own("Look at packages, backends, GPUs and engines: is anything broken?", "doctor:doctor", ENGINES),
    "import": _export("Turn another project's weights into a checkpoint.", "import"),
    "export": _export("Turn a checkpoint into an engine, and compare the two.", "onnx"),
    "validate": _export("Compare engines with their checkpoint.", "validate"),
    "program": _export("Give an older engine its program for native kernels.", "program"),
    "triton": _export("Lay out an engine as a model of Triton Inference Server.", "triton"),
    "report": _group(
        "Measure what networks cost.",
        {
            "burden": _export("Compare pix2pix and pix2pixHD.", "report", ""),
            "completion": _export("Measure a sketch's completion against torch eager.", "completion-report", ""),
            "eager": _export("Measure an engine against torch eager.", "eager-report", ""),
        },
        MAKE,
    ),
    "train": _group(
        "Train a network into a checkpoint: one command a family.",
        {family: _training(f"Train {family}.", "train", panel="") for family in _FAMILIES},
    ),
    "evaluate": _training("Measure a checkpoint's images against real photos.", "evaluate"),
    "data": _group(
        "Draw pictures to train with.",
        {
            "scenes": _training("Write procedural street scenes.", "data", panel=""),
            "faces": _training("Write procedural faces.", "data", panel=""),
            "textures": _training("Write procedural pictures of materials and scenes.", "data", panel=""),
            "sketches": _training("Turn a folder of photos into sketches.", "data", panel=""),
        },
    ),
    "study": _group(
        "Rerun the tables of the papers.",
        {
            "ablation": _training("Train, evaluate and tabulate the rows of an ablation.", "ablation", panel=""),
            "completion": _training("Losses over steps, N and λ.", "completion", "completion-study", ""),
            "sketch": _training("Families on clean and on poor sketches.", "completion", "sketch-study", ""),
            "style": _training("Networks on sketches of every style.", "completion", "style-study", ""),
            "hint": _training("What hints at the photo do to it.", "completion", "hint-study", ""),
            "attribute": _training("Whether glasses and beards are kept.", "completion", "attribute-study", ""),
            "inpainting": _training("Checkpoints against OpenCV.", "inpainting", "inpainting-study", ""),
        },
    ),
    "untrained": _training("Write a checkpoint with initial weights, to measure an architecture.", "data"),
}
