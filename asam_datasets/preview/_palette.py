"""Colors that lie over photographs: seen on dark and on bright ones, so never white, black or grey.

Not those of conditioning images, which fill a black page and begin with white. Neighbors in the list are far apart on
the wheel (the golden angle), and of three tones; lightness and chroma are those of OKLCH (Ottosson, 2020), in which
all hues look equally strong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FIRST_HUE, _GOLDEN_ANGLE = 250.0, 137.507764  # degrees; the first one is blue
_LIGHTNESS, _CHROMA = np.array([0.72, 0.60, 0.82]), np.array([0.19, 0.20, 0.15])
_TO_LMS = np.array([[0.3963377774, 0.2158037573], [-0.1055613458, -0.0638541728], [-0.0894841775, -1.2914855480]])
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def overlay_colors(count: int) -> NDArray[np.uint8]:
    """The colors of the first `count` masks of an image: uint8 (count, 3), RGB."""
    places = np.arange(count)
    hues = np.deg2rad((_FIRST_HUE + places * _GOLDEN_ANGLE) % 360)
    axes = _CHROMA[places % 3] * np.stack([np.cos(hues), np.sin(hues)])
    linear = (_TO_RGB @ (_LIGHTNESS[places % 3] + _TO_LMS @ axes) ** 3).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rounded: NDArray[np.uint8] = np.round(255 * encoded.T).astype(np.uint8)
    return rounded
