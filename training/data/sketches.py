"""Sketches made from photos: XDoG, FDoG and the photocopy effect, deterministic, the papers' symbols as parameters.

Every style takes RGB uint8 [H, W, 3] and gives uint8 [H, W], dark lines on white.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class XDoG:
    """Extended difference of Gaussians (Winnemöller, Kyprianidis, Olsen 2012, equations 3, 7 and 5).

    Attributes:
        sigma: σ of the inner Gaussian, pixels.
        k: ratio of the outer σ to the inner.
        p: strength of the sharpening, S = (1 + p)·G_σ − p·G_kσ.
        epsilon: ε, the level from which on the picture is white, 0 to 1.
        phi: φ, steepness of the soft threshold below it.
    """

    sigma: float = 1.0
    k: float = 1.6
    p: float = 30.0
    epsilon: float = 0.1
    phi: float = 3.0

    def __call__(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """T_ε,φ(S_σ,k,p(I))."""
        image = luminance(photo)
        sharpened = (1 + self.p) * _blur(image, self.sigma) - self.p * _blur(image, self.k * self.sigma)
        shade = 1 + np.tanh(self.phi * (sharpened - self.epsilon))
        return _to_bytes(np.where(sharpened >= self.epsilon, 1.0, shade))


@dataclass(frozen=True)
class FDoG:
    """Flow-based difference of Gaussians along the edge tangent flow (Kang, Lee, Chui 2007).

    Attributes:
        sigma_c: σ_c of the inner Gaussian across the edge, pixels; the outer is 1.6 times wider.
        sigma_m: σ_m of the Gaussian along the flow.
        rho: ρ, how much of the outer Gaussian is taken off: more gives fewer specks.
        tau: τ, the response below which a pixel becomes a line, 0 to 1.
        mu: half width of the flow's smoothing window.
        flow_iterations: times the flow is smoothed.
        iterations: times the lines are laid over the picture and sought again.
    """

    sigma_c: float = 1.0
    sigma_m: float = 3.0
    rho: float = 0.99
    tau: float = 0.5
    mu: int = 5
    flow_iterations: int = 3
    iterations: int = 2

    def __call__(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The binary drawing of equation 10, its borders smoothed by half a pixel."""
        image = luminance(photo)
        flow = edge_tangent_flow(image, self.mu, self.flow_iterations)
        lines = np.ones_like(image)
        for _ in range(self.iterations):
            lines = self._lines(np.minimum(image, lines), flow)
        return _to_bytes(_blur(lines, 0.5))

    def _lines(self, image: Grey, flow: NDArray[np.float32]) -> Grey:
        """1 where there is no line, 0 on one."""
        tx, ty = flow[..., 0], flow[..., 1]
        response = self._across(255 * image, -ty, tx)
        response = self._along(response, tx, ty)
        # Equation 10; a response above 0 is no edge whatever τ is.
        is_line = (response < 0) & (1 + np.tanh(response) < self.tau)
        return np.where(is_line, np.float32(0), np.float32(1))

    def _across(self, image: Grey, x_step: Grey, y_step: Grey) -> Grey:
        """Equation 6: the difference of Gaussians along the line that crosses the flow."""
        sigma_s = 1.6 * self.sigma_c
        offsets = np.arange(-math.ceil(3 * sigma_s), math.ceil(3 * sigma_s) + 1)
        weights = _gaussian(offsets, self.sigma_c) - self.rho * _gaussian(offsets, sigma_s)
        x, y = _grid(image.shape)
        samples = (
            w * _sample(image, x + s * x_step, y + s * y_step) for s, w in zip(offsets.tolist(), weights, strict=True)
        )
        return sum(samples, np.zeros_like(image))

    def _along(self, response: Grey, tx: Grey, ty: Grey) -> Grey:
        """Equation 9: a Gaussian mean along the stream line, one pixel a step, both ways."""
        steps = math.ceil(3 * self.sigma_m)
        weights = _gaussian(np.arange(-steps, steps + 1), self.sigma_m)
        total = weights[steps] * response
        for way in (-1.0, 1.0):
            x, y = _grid(response.shape)
            before_x, before_y = way * tx, way * ty
            for step in range(1, steps + 1):
                x, y = x + before_x, y + before_y
                total += weights[steps + step] * _sample(response, x, y)
                here_x, here_y = _sample(tx, x, y), _sample(ty, x, y)
                # Tangents have no sense of direction; keep walking the way we came.
                sign = np.where(here_x * before_x + here_y * before_y < 0, np.float32(-1), np.float32(1))
                before_x, before_y = sign * here_x, sign * here_y
        return total


@dataclass(frozen=True)
class Photocopy:
    """The photocopy effect of image editors: what is darker than its surroundings turns dark, the rest white.

    Attributes:
        sharpness: σ of the blur that removes grain, pixels.
        mask_radius: σ of the surroundings, pixels.
        percent_black: share of the darker pixels that become fully black, 0 to 1.
    """

    sharpness: float = 0.8
    mask_radius: float = 8.0
    percent_black: float = 0.25

    def __call__(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """White, darkened by how far a pixel lies below its surroundings."""
        image = luminance(photo)
        surroundings = np.maximum(_blur(image, self.mask_radius), _DARKEST)
        depth = np.maximum(1 - _blur(image, self.sharpness) / surroundings - _GRAIN, 0)
        deeper = depth[depth > 0]
        black_at = max(float(np.quantile(deeper, 1 - self.percent_black)), _FAINT) if deeper.size else 1.0
        return _to_bytes(np.clip(1 - depth / black_at, 0, 1))


Sketch = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
STYLES: dict[str, Sketch] = {"xdog": XDoG(), "fdog": FDoG(), "photocopy": Photocopy()}
_DARKEST = 1e-3
_GRAIN = 0.01  # share of the surroundings' brightness that is no difference at all
_FAINT = 0.1  # what is never stretched to full black: it would be noise


def luminance(photo: NDArray[np.uint8]) -> Grey:
    """RGB uint8 [H, W, 3] → float32 [H, W] from 0 to 1 (Rec. 601)."""
    return photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)


def edge_tangent_flow(image: Grey, mu: int = 5, iterations: int = 3) -> NDArray[np.float32]:
    """Unit tangents [H, W, 2] (x, y) along the edges, weak ones turned into line with strong neighbours (equation 1).

    The window is a square of 2μ + 1 pixels, smoothed along rows, then columns, as the paper's acceleration has it.

    Args:
        image: float32 [H, W].
        mu: half width of the window.
        iterations: times the flow is smoothed.
    """
    gx, gy = (cv2.Sobel(image, cv2.CV_32F, 1 - axis, axis, borderType=cv2.BORDER_REPLICATE) for axis in range(2))
    length = np.hypot(gx, gy)
    strength = np.asarray(length / max(float(length.max()), 1e-12), np.float32)  # ĝ, 0 to 1
    safe = np.maximum(length, 1e-12)
    # Without a gradient there is no edge to follow: any direction will do.
    turned = np.stack((-gy / safe, gx / safe), -1)
    flow = np.asarray(np.where(length[..., None] > 0, turned, np.array([1, 0], np.float32)), np.float32)
    for _ in range(iterations):
        for axis in (1, 0):
            flow = _smoothed(flow, strength, mu, axis)
    return flow


def _smoothed(flow: NDArray[np.float32], strength: Grey, mu: int, axis: int) -> NDArray[np.float32]:
    """Equation 1 along one axis: w_s is the window, φ·w_d the signed dot product, w_m prefers stronger edges."""
    margin = [(0, 0), (0, 0)]
    margin[axis] = (mu, mu)
    wide_flow = np.pad(flow, [*margin, (0, 0)], mode="edge")
    wide_strength = np.pad(strength, margin, mode="edge")
    total = np.zeros_like(flow)
    for shift in range(2 * mu + 1):
        window = [slice(None), slice(None)]
        window[axis] = slice(shift, shift + flow.shape[axis])
        near, near_strength = wide_flow[tuple(window)], wide_strength[tuple(window)]
        along = np.einsum("hwc,hwc->hw", flow, near)
        stronger = 0.5 * (1 + np.tanh(near_strength - strength))
        total += (along * stronger)[..., None] * near
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    return np.where(length > 1e-12, total / np.maximum(length, 1e-12), flow).astype(np.float32)


def _blur(image: Grey, sigma: float) -> Grey:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def _gaussian(offsets: NDArray[np.int64], sigma: float) -> NDArray[np.float32]:
    """Samples of a Gaussian, normalised to sum to one."""
    values = np.exp(-(offsets**2) / (2 * sigma**2))
    weights: NDArray[np.float32] = (values / values.sum()).astype(np.float32)
    return weights


def _grid(shape: tuple[int, ...]) -> tuple[Grey, Grey]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return x, y


def _sample(image: Grey, x: Grey, y: Grey) -> Grey:
    """Bilinear at (x, y), the border repeated."""
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _to_bytes(shade: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(255 * shade + 0.5, 0, 255).astype(np.uint8)
