"""The stand-in for `tensorrt` and `tensorrt_rtx`: building plans, with the real names and parameters."""

import hashlib
import os
import time
from enum import IntEnum
from pathlib import Path

from tests.runtime.engines.stand_in import plans
from tests.runtime.engines.stand_in import world as worlds
from tests.runtime.engines.stand_in.results import Truth

FLAGS = {
    "tensorrt": IntEnum("BuilderFlag", {"TF32": 7}),
    "tensorrt-rtx": IntEnum("BuilderFlag", {"TF32": 5, "REQUIRE_USER_ALLOCATION": 21}),
}
NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 0})
PHASES = (("Building Engine", None, 2), ("Tactic Selection", "Building Engine", 4))


class IProgressMonitor:
    def __init__(self):
        pass

    def phase_start(self, phase_name, parent_phase, num_steps):
        raise NotImplementedError

    def step_complete(self, phase_name, step):
        raise NotImplementedError

    def phase_finish(self, phase_name):
        raise NotImplementedError


class ITimingCache:
    def __init__(self, blob):
        self.blob = bytes(blob)

    def serialize(self):
        return self.blob


class IOptimizationProfile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, input, min, opt, max):
        self.shapes[input] = [list(min), list(opt), list(max)]


class IBuilderConfig:
    def __init__(self, flavor):
        self.flavor, self.profile, self.flags, self.cache = flavor, None, {"TF32"}, None
        self.progress_monitor = None

    def clear_flag(self, flag):
        self.flags.discard(flag.name)

    def set_flag(self, flag):
        self.flags.add(flag.name)

    def add_optimization_profile(self, profile):
        self.profile = profile
        return 0

    def create_timing_cache(self, serialized_timing_cache):
        if self.flavor == "tensorrt-rtx":
            worlds.current().violate("a timing cache for TensorRT-RTX")
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache, ignore_mismatch):
        fits = not cache.blob or cache.blob.startswith(b"timings")
        self.cache = cache if fits else None
        return Truth(fits, "set_timing_cache")

    def get_timing_cache(self):
        return self.cache


class INetworkDefinition:
    def __init__(self):
        self.onnx = None


class ParserError:
    def __init__(self, text):
        self.text = text

    def node_name(self):
        return "somewhere"

    def node(self):
        return 0

    def node_operator(self):
        return "Foreign"

    def desc(self):
        return self.text


class OnnxParser:
    def __init__(self, network, logger):
        self.network, self.errors, self.logger = network, [], logger

    @property
    def num_errors(self):
        return len(self.errors)

    def get_error(self, index):
        return self.errors[index]

    def parse_from_file(self, model):
        return self.parse(Path(model).read_bytes())

    def parse(self, model, path=None):
        try:
            plans.session(bytes(model))
        except Exception as error:  # noqa: BLE001  whatever is wrong with a graph
            self.errors.append(ParserError(str(error)))
            return Truth(False, "parse")
        self.network.onnx = bytes(model)
        return Truth(True, "parse")


class Builder:
    flavor = "tensorrt"

    def __init__(self, logger):
        from tests.runtime.engines.stand_in.tensorrt_api import ILogger

        self.logger = logger
        if self.flavor == "tensorrt" and not worlds.current().driver:
            logger.log(ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")

    def create_network(self, flags=0):
        return INetworkDefinition()

    def create_builder_config(self):
        return IBuilderConfig(self.flavor)

    def create_optimization_profile(self):
        return IOptimizationProfile()

    def build_serialized_network(self, network, config):
        from tests.runtime.engines.stand_in.tensorrt_api import VERSIONS, ILogger

        world = worlds.current()
        if world.fault("build_serialized_network"):
            self.logger.log(ILogger.Severity.ERROR, "buildSerializedNetwork: out of luck")
            return None
        if not _went_on(config.progress_monitor):
            return None
        if os.environ.get("STAND_IN_BUILDS"):  # builds by any process, a line each
            time.sleep(0.5)
            with Path(os.environ["STAND_IN_BUILDS"]).open("a") as stream:
                stream.write(f"{os.getpid()}\n")
        if config.cache is not None:
            config.cache.blob = b"timings" + bytes(len(config.cache.blob))
        self.logger.log(ILogger.Severity.INFO, "Total Activation Memory: 4096 bytes")
        header = plans.Header(
            flavor=self.flavor,
            version=VERSIONS[self.flavor],
            gpu=world.gpus[0] if world.driver and world.gpus else "none",
            sha256=hashlib.sha256(network.onnx).hexdigest(),
            profile=config.profile.shapes if config.profile else None,
            is_capturable=b"Uncapturable" not in network.onnx,
            is_user_allocated="REQUIRE_USER_ALLOCATION" in config.flags,
        )
        return plans.pack(header, network.onnx)


class RtxBuilder(Builder):
    flavor = "tensorrt-rtx"


def _went_on(monitor):
    """Report nested phases as TensorRT does; False where the monitor wants an end."""
    for name, parent, steps in PHASES:
        monitor.phase_start(name, parent, steps)
    for step in range(PHASES[1][2]):
        if not monitor.step_complete(PHASES[1][0], step):
            return False
    for step in range(PHASES[0][2]):
        if not monitor.step_complete(PHASES[0][0], step):
            return False
    for name, _, _ in reversed(PHASES):
        monitor.phase_finish(name)
    return True


def api(flavor):
    """The names of the module."""
    kinds = (FLAGS[flavor], NetworkDefinitionCreationFlag, IProgressMonitor, IOptimizationProfile, IBuilderConfig)
    kinds += (INetworkDefinition, ParserError, OnnxParser, ITimingCache)
    builder = {"Builder": RtxBuilder if flavor == "tensorrt-rtx" else Builder}
    return {kind.__name__: kind for kind in kinds} | builder
