"""pix2pix: its only noise."""

from dataclasses import dataclass
from typing import Self

from export.family_options import FamilyOptions, option
from runtime.engines.spec import EngineSpec


@dataclass(frozen=True)
class Options(FamilyOptions):
    """See the fields."""

    stochastic: bool = option(False, "dropout acts, with a seed for every image.")

    @classmethod
    def of_engine(cls, spec: EngineSpec) -> Self:
        return cls(stochastic=spec.input("seed") is not None)
