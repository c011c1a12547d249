"""Digits to train and to ask with: MNIST's where it can be had, else 28x28 renderings of the fonts at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "cmr10.ttf")
SIDE = 28


def load_digits(source: str) -> tuple[Any, Any]:
    """(images uint8 [n, 28, 28], labels [n]). `source` is `mnist`, which is downloaded, or `rendered`."""
    if source == "mnist":
        import keras

        (images, labels), _ = keras.datasets.mnist.load_data()
        return images, labels
    return rendered_digits()


def rendered_digits(seed: int = 7, count: int = 4000) -> tuple[Any, Any]:
    """White digits on black, of several fonts and sizes, shifted and turned a little."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    labels = random.integers(0, 10, count)
    for index, digit in enumerate(labels):
        images[index] = render(
            int(digit),
            FONTS[random.integers(len(FONTS))],
            int(random.integers(19, 24)),
            (int(random.integers(-2, 3)), int(random.integers(-2, 3))),
            float(random.uniform(-9, 9)),
        )
    return images, labels


def render(
    digit: int,
    font: str = FONTS[0],
    size: int = 21,
    shift: tuple[int, int] = (0, 0),
    degrees: float = 0,
    side: int = SIDE,
) -> Any:
    """One digit, uint8 [side, side]; `size` and `shift` are those of an image of 28x28."""
    scale = side / SIDE
    image = Image.new("L", (side, side))
    drawn = ImageFont.truetype(str(_font_folder() / font), round(size * scale))
    centre = tuple(round((SIDE / 2 + offset) * scale) for offset in shift)
    ImageDraw.Draw(image).text(centre, str(digit), fill=255, font=drawn, anchor="mm")
    return np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR))


def _font_folder() -> Path:
    # matplotlib brings its fonts along; nothing is asked of the machine.
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"
