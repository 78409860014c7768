"""Digits of 4x4 pixels for networks that fit a small chip: ``python examples/pool_digits.py``.

Writes ``digits4x4_train.npz`` into the current folder and, beside this file, ``digits4x4.npz``,
the held-out quarter. ``examples/digits4x4.nir`` was trained on the former::

    lamina train 16-16-10 --data digits4x4_train.npz --weights 4 --shift 0 --epochs 60 --batch 32 \
        --rate 0.01 --timesteps 16 -o examples/digits4x4.nir
"""

import pathlib

import numpy as np

from lamina.flows.frontend.data import load_data


def pooled(split: str) -> dict[str, np.ndarray]:
    """Means of 2x2 pixels, 0..255, and labels."""
    data = load_data("digits", split=split)
    images = data.images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    return {"images": np.rint(255 * images).astype(np.uint8),
            "labels": data.labels.astype(np.uint8)}


if __name__ == "__main__":
    np.savez_compressed("digits4x4_train.npz", **pooled("train"))
    np.savez_compressed(pathlib.Path(__file__).with_name("digits4x4.npz"), **pooled("test"))
