"""Numbers to colours: joint PCA colours of features, and colour ramps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GREY = 128  # of a component that does not vary
# Dark to bright with rising lightness throughout, so that it reads in grey and to colour-blind eyes as well.
_RAMP = np.array(
    [(20, 11, 52), (78, 18, 122), (140, 41, 129), (204, 63, 113), (246, 105, 92), (254, 168, 106), (252, 240, 165)],
    dtype=np.float64,
)


@dataclass(frozen=True)
class ColorSpace:
    """The map from features (N, C) to colours, fitted once and applied to every map that shall share its meaning."""

    mean: np.ndarray  # (C,)
    axes: np.ndarray  # (K, C), unit rows, K <= 3 directions with any variance
    low: np.ndarray  # (K,) the score that becomes 0
    high: np.ndarray  # (K,) the score that becomes 255

    @classmethod
    def fit(cls, features: np.ndarray, percentiles: tuple[float, float] = (2, 98)) -> ColorSpace:
        """Principal components of ``features`` (N, C); rows that are not finite are left out.

        The components' signs make their scores' third moment positive. That is a property of the cloud of features
        alone, so neither the order of the rows nor a rotation of the feature space changes the colours.
        """
        rows = np.asarray(features, dtype=np.float64)
        rows = rows[np.isfinite(rows).all(axis=1)]
        channels = rows.shape[1]
        if len(rows) == 0:
            return cls(np.zeros(channels), np.zeros((0, channels)), np.zeros(0), np.zeros(0))
        mean = rows.mean(axis=0)
        centered = rows - mean
        values, vectors = np.linalg.eigh(centered.T @ centered / len(rows))
        values, axes = values[::-1][:3], vectors[:, ::-1][:, :3].T
        axes = axes[values > 1e-9 * max(float(values[0]), 1e-30)]
        scores = centered @ axes.T
        axes = axes * np.where((scores**3).sum(axis=0) < 0, -1, 1)[:, None]
        low, high = np.percentile(centered @ axes.T, percentiles, axis=0)
        return cls(mean, axes, low, high)

    def colors(self, features: np.ndarray) -> np.ndarray:
        """(N, 3) uint8 of ``features`` (N, C); the strongest component is red. Missing components are grey."""
        scores = (np.asarray(features, dtype=np.float64) - self.mean) @ self.axes.T
        span = self.high - self.low
        known = span > 0
        scaled = np.full((len(scores), 3), GREY / 255)
        columns = np.flatnonzero(known)
        scaled[:, columns] = np.clip((scores - self.low)[:, columns] / span[columns], 0, 1)
        return np.round(np.nan_to_num(scaled, nan=0.0) * 255).astype(np.uint8)


def pca_colors(features: np.ndarray, fit: np.ndarray | None = None) -> np.ndarray:
    """Colours (N, 3) uint8 of ``features`` (N, C) by their first three principal components.

    Args:
        features: rows of any number of maps; coloured together, equal colours mean equal features in all of them.
        fit: (M, C) rows that the components and their ranges come from; None takes ``features``.
    """
    return ColorSpace.fit(features if fit is None else fit).colors(features)


def ramp_colors(values: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of ``values`` (...) in [0, 1], dark to bright; values outside take the nearest end."""
    place = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0), 0, 1) * (len(_RAMP) - 1)
    below = np.minimum(place.astype(np.int64), len(_RAMP) - 2)
    share = (place - below)[..., None]
    return np.round(_RAMP[below] * (1 - share) + _RAMP[below + 1] * share).astype(np.uint8)


def dimmed(image: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """``image`` (H, W, 3) uint8 in grey and darkened, to draw colours upon."""
    grey = image.astype(np.float64) @ (0.299, 0.587, 0.114) * strength
    return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2)
