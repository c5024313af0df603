"""What a structured-light depth camera and a small colour camera make of a perfect image.

Both take their randomness from a generator that is passed in; to have exact truth, leave them out.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter
from scipy.special import ndtr

from sparse3d.rooms.shading import to_linear, to_srgb

NEAREST = 0.35  # metres: nothing is read nearer than this
FADES_FROM, FADES_TO = 4.0, 5.2  # metres between which readings become rare, and end
_GRAZING = np.cos(np.deg2rad([72.0, 86.0]))  # incidence between which readings become rare, and end
_STEP = 0.03  # of the depth: a difference between neighbouring pixels that is an edge
_QUANTUM = 1.4e-3  # 1 / metre: a step of disparity is this times z^2 in depth


def depth_sigma(depth: np.ndarray, cos_incidence: np.ndarray) -> np.ndarray:
    """Standard deviation of a reading, metres, of surfaces ``depth`` metres away.

    Axial noise of Nguyen, Izadi, Lovell, "Modeling Kinect Sensor Noise" (3DIMPVT 2012), table of section 3:
    1.2 mm + 1.9 mm (z - 0.4)^2, and more for surfaces seen aslant, by the angle of incidence.
    """
    angle = np.minimum(np.arccos(np.clip(cos_incidence, 0.0, 1.0)), np.deg2rad(82.0))
    aslant = 0.0001 / np.sqrt(np.maximum(depth, 0.1)) * angle**2 / (np.pi / 2 - angle) ** 2
    return 0.0012 + 0.0019 * (depth - 0.4) ** 2 + aslant


def sense_depth(depth: np.ndarray, cos_incidence: np.ndarray, rng: np.random.Generator,
                color: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    """Depth as a structured-light camera reads it.

    Noise is that of :func:`depth_sigma`, a little alike in neighbouring pixels as the camera's matching windows make
    it; depth then goes in steps of disparity, which grow with z^2 (Khoshelham and Elberink, "Accuracy and Resolution of
    Kinect Depth Data for Indoor Mapping Applications", Sensors 2012; half the step of their camera). Readings are
    missing in patches: too near, more and more between 4 and 5.2 m, on surfaces seen along themselves, at the edges of
    things, and some on black surfaces.

    Args:
        depth: (H, W) metres along the optical axis, 0 = nothing.
        cos_incidence: (H, W), between ray and normal.
        color: (H, W, 3) sRGB in [0, 1], to lose readings on black; None loses none.

    Returns:
        (H, W) float64 metres in whole millimetres, 0 = no reading.
    """
    depth = np.asarray(depth, dtype=np.float64)
    shape = depth.shape
    noisy = depth + depth_sigma(depth, cos_incidence) * _patchy(rng, shape, 0.6)
    quantum = _QUANTUM * np.maximum(noisy, NEAREST) ** 2
    read = np.round(noisy / quantum) * quantum
    lost = _rising(depth, FADES_FROM, FADES_TO)
    lost = np.maximum(lost, _rising(-np.asarray(cos_incidence, dtype=np.float64), -_GRAZING[0], -_GRAZING[1]))
    lost = np.maximum(lost, 0.85 * _beside_edges(depth))
    if color is not None:
        lost = np.maximum(lost, 0.5 * _rising(-color.mean(axis=2), -0.12, -0.03))
    lost = np.maximum(lost, 0.002)  # specks anywhere
    missing = (ndtr(_patchy(rng, shape, 1.2)) < lost) | (depth < NEAREST) | (lost >= 1)
    return np.where(missing, 0.0, np.round(read * 1000) / 1000)


def exposures(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Factors (F,) on the light of successive frames that drift by a quarter of a stop or so, as automatic exposure."""
    phase, speed = rng.uniform(0, 2 * np.pi, 3), np.array([1.0, 2.7, 6.1])
    along = np.linspace(0, 2 * np.pi, frames, endpoint=False)[:, None]
    drift = np.sin(along * speed + phase) @ np.array([0.12, 0.08, 0.05])
    return 2.0 ** (drift + 0.02 * rng.standard_normal(frames))


def sense_color(color: np.ndarray, rng: np.random.Generator, exposure: float = 1.0, blur: float = 0.0016,
                vignette: float = 0.15) -> np.ndarray:  # fmt: skip
    """Colour as a small camera takes it: soft, darker at its corners, with the noise of photons and of reading.

    Args:
        color: (H, W, 3) sRGB in [0, 1].
        exposure: factor on the light.
        blur: standard deviation as a share of the image's width.
        vignette: the share of light that is lost in the corners.

    Returns:
        (H, W, 3) float32 sRGB in [0, 1].
    """
    height, width = color.shape[:2]
    sigma = blur * width
    linear = gaussian_filter(to_linear(color.astype(np.float32)), (sigma, sigma, 0), mode="nearest")
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    linear *= (exposure * (1 - vignette * (x**2 + y**2) / 2))[..., None].astype(np.float32)
    noise = rng.standard_normal(color.shape, dtype=np.float32)
    noise *= np.sqrt(0.0003 * np.maximum(linear, 0) + 0.000004)  # photons, then reading
    return to_srgb(linear + noise).astype(np.float32)


def _patchy(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Gaussian noise of mean 0 and deviation 1, alike over about ``sigma`` pixels."""
    noise = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    impulse = np.zeros((15, 15))
    impulse[7, 7] = 1
    return noise / np.sqrt((gaussian_filter(impulse, sigma) ** 2).sum())


def _rising(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """From 0 at ``low`` to 1 at ``high``, smoothly."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _beside_edges(depth: np.ndarray) -> np.ndarray:
    """Where the neighbouring pixels' depths are a step apart, (H, W) bool.

    Slanted surfaces are told from steps by the change of slope: the depth in the middle of the window lies between.
    """
    empty = depth <= 0
    inverse = 1 / np.where(empty, 1e3, depth)  # inverse depth is linear over a plane's pixels
    highest, lowest = maximum_filter(inverse, 3), minimum_filter(inverse, 3)
    bend = np.abs(highest + lowest - 2 * inverse)
    return ((highest - lowest) > _STEP * inverse) & (bend > _STEP / 2 * inverse)
