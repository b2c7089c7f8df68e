"""The table of computational burden, made from tiny networks."""

from pathlib import Path

import pytest

from export.errors import ExportError
from export.report import NETWORKS, Network, cost_rows, markdown
from runtime.errors import InputError
from tests.tiny_models import ARCHITECTURES, TRANSLATORS

TINY = (
    Network("pix2pix", "tiny U-Net", TRANSLATORS["unet"]),
    Network("pix2pixhd", "tiny enhancer", ARCHITECTURES["local"]),
)


@pytest.mark.nightly
def test_every_network_at_every_size(tmp_path: Path) -> None:
    steps: list[str] = []
    rows = cost_rows([(32, 32), (32, 64)], 2, steps.append, TINY)
    assert [(row.title, row.spec.cost.size) for row in rows] == [
        ("tiny U-Net", (32, 32)),
        ("tiny U-Net", (32, 64)),
        ("tiny enhancer", (32, 32)),
        ("tiny enhancer", (32, 64)),
    ]
    for small, large in (rows[:2], rows[2:]):
        assert large.spec.cost.macs == 2 * small.spec.cost.macs
        assert large.spec.cost.parameters == small.spec.cost.parameters
        assert min(small.p50_ms, small.peak_memory_mb, small.engine_bytes) > 0
    assert "tiny enhancer at 32x64: measure" in steps

    table = markdown(rows, {"cpu": "Some CPU", "cores": 2, "system": "Linux"}).splitlines()
    assert len({line.count("|") for line in table[:6]}) == 1
    assert [line.split(" | ")[1] for line in table[2:6]] == ["32×32", "32×64", "32×32", "32×64"]
    assert "Some CPU, 2 cores" in table[-1]


def test_the_networks_are_the_published_ones() -> None:
    assert [network.architecture.size_multiple for network in NETWORKS] == [256, 32]
    assert NETWORKS[0].architecture.ngf == 64
    assert NETWORKS[1].architecture.input_nc == 36


def test_unfitting_requests_are_refused() -> None:
    with pytest.raises(ExportError, match="multiples of 16"):
        cost_rows([(40, 32)], 1, networks=TINY)
    with pytest.raises(InputError, match="--runs is 0"):
        cost_rows([(32, 32)], 0, networks=TINY)
