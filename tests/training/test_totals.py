"""What is minimised is the sum of all that is reported: no term is left out of a total, and none counts twice."""

import copy
import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.training.runs import face_data, scene_data, train
from training.losses import VGG_WEIGHTS, perceptual_loss
from training.networks.completion_losses import perceptual_loss as perceptual_loss_of_completion
from training.networks.contextual_gan import Architecture, build
from training.options import resolve
from training.system import System, family_system
from training.systems.contextual_gan.completion import Search, complete


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data folders by name, and a file of VGG19 with random weights."""
    root = tmp_path_factory.mktemp("data")
    found = {"scenes": scene_data(root / "scenes", 2), "faces": face_data(root / "faces")}
    rng = np.random.default_rng(0)
    (root / "photos" / "train").mkdir(parents=True)
    for index in range(3):
        pixels = rng.integers(0, 256, (6, 7, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(root / "photos" / "train" / f"{index}.png")
    found["photos"] = root / "photos"
    train(root / "features", family="feature_network", data=str(found["photos"]))
    torch.manual_seed(0)
    torch.save(vgg_state(), root / "vgg.pth")
    return {name: str(folder) for name, folder in found.items()} | {
        "features": str(root / "features"),
        "vgg": str(root / "vgg.pth"),
    }


def vgg_state() -> dict[str, Tensor]:
    """Random weights under torchvision's names up to relu5_1."""
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512]
    indices = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]
    state = {}
    for index, (input_nc, output_nc) in zip(indices, itertools.pairwise(widths), strict=True):
        state[f"features.{index}.weight"] = torch.randn(output_nc, input_nc, 3, 3) * (2 / (9 * input_nc)) ** 0.5
        state[f"features.{index}.bias"] = torch.zeros(output_nc)
    return state


def step(system: System) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The losses that one step reports, and the totals that it minimises, by role."""
    totals: dict[str, list[float]] = {}

    def update(role: str, loss: Tensor) -> None:
        totals.setdefault(role, []).append(float(loss))
        loss.backward()

    batch = {key: value.unsqueeze(0) for key, value in system.dataset[0, 0].items()}
    torch.manual_seed(0)
    losses = system.step(batch, system.roles, update)
    return {name: float(value) for name, value in losses.items()}, totals


def system_of(family: str, given: Mapping[str, object]) -> System:
    module = family_system(family)
    return module.create(resolve(module.Options, module.PRESETS, "smoke", given))


CASES = {
    "pix2pixhd": (
        {"lambda_l1": 3.0, "lambda_perceptual": 7.0, "lambda_feature": 5.0},
        {"G_GAN", "G_feature_matching", "G_L1", "G_perceptual"},
        0.5,
    ),
    "pix2pix": ({"derive": "grey"}, {"G_GAN", "G_L1"}, 0.5),
    "inpainting": (
        {"lambda_perceptual": 7.0},
        {"infer_feature", "translate_feature", "infer_L1", "translate_L1", "infer_GAN", "translate_GAN"},
        0.5,
    ),
    "contextual_gan": ({}, {"G_GAN"}, 1.0),
}
DATA = {"pix2pixhd": "scenes", "pix2pix": "photos", "inpainting": "photos", "contextual_gan": "faces"}


@pytest.mark.parametrize("family", CASES)
def test_totals_are_the_sums_of_what_is_reported(family, data):
    given, terms, share_of_critics = CASES[family]
    files = {"pix2pixhd": {"vgg": data["vgg"]}, "inpainting": {"features": data["features"]}}.get(family, {})
    losses, totals = step(system_of(family, {"data": data[DATA[family]], **files, **given}))
    assert {name for name in losses if not name.startswith("D")} == terms
    assert all(losses[name] > 0 for name in losses)
    assert totals["generator"][-1] == pytest.approx(sum(losses[name] for name in terms), rel=1e-5)
    critics = sum(value for name, value in losses.items() if name not in terms)
    assert totals["discriminator"][-1] == pytest.approx(share_of_critics * critics, rel=1e-5)


@pytest.mark.parametrize("name", ["lambda_l1", "lambda_perceptual", "lambda_feature"])
def test_every_weight_of_pix2pixhd_weighs(name, data):
    """Twice the weight is twice the term, and as much more in the total; without weight there is no term."""
    term = {"lambda_l1": "G_L1", "lambda_perceptual": "G_perceptual", "lambda_feature": "G_feature_matching"}[name]
    base = {"data": data["scenes"], "vgg": data["vgg"], "lambda_l1": 2.0}
    (once, total), (twice, more) = (step(system_of("pix2pixhd", base | {name: weight})) for weight in (4.0, 8.0))
    assert twice[term] == pytest.approx(2 * once[term], rel=1e-4)
    assert more["generator"][0] - total["generator"][0] == pytest.approx(once[term], rel=1e-3)


def test_perceptual_loss_weighs_its_layers():
    fake = [torch.full((1, 2, 2, 2), float(k + 1)) for k in range(5)]
    real = [torch.zeros_like(layer) for layer in fake]
    assert VGG_WEIGHTS == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
    assert float(perceptual_loss(fake, real)) == pytest.approx(sum((k + 1) * w for k, w in enumerate(VGG_WEIGHTS)))


class _Flat(nn.Module):
    """A discriminator whose loss has a known slope: the logit is the mean of what it sees."""

    def forward(self, joint: Tensor) -> Tensor:
        return joint.mean((1, 2, 3)).reshape(-1, 1, 1, 1)


def test_completion_descends_on_both_losses():
    torch.manual_seed(0)
    generator = build(Architecture(z_nc=4, ngf=4, ndf=4, n_levels=2))["generator"].eval().requires_grad_(False)
    observed, weights, z = torch.zeros(1, 3, 16, 32), torch.ones(1, 1, 16, 32), torch.rand(1, 4) * 2 - 1
    search = Search(iterations=1, candidates=1, learning_rate=50.0, momentum=0.0, perceptual_weight=0.5)
    found = complete(generator, _Flat(), observed, weights, search, z, keep=(0,))
    perceptual = float(perceptual_loss_of_completion(_Flat()(found.images[0])))
    assert found.total_loss[0] == pytest.approx(found.contextual_loss[0] + 0.5 * perceptual, rel=1e-5)
    without = complete(
        copy.deepcopy(generator), _Flat(), observed, weights, Search(**vars(search) | {"perceptual_weight": 0.0}), z
    )
    assert without.total_loss == without.contextual_loss
    assert (found.images[1] - without.images[1]).abs().max() > 1e-6
