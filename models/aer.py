"""Which axon an address-event of a camera stands for."""

from __future__ import annotations

import numpy as np

from lamina.models.config import AerConfig

__all__ = ["aer_axons"]


def aer_axons(config: AerConfig, addresses: np.ndarray) -> np.ndarray:
    """Axon of each address, -1 where the event lies outside the sensor.

    Parameters
    ----------
    config : AerConfig
    addresses : int array (events,)
        0 .. ``2**address_bits - 1``.

    Returns
    -------
    int64 array (events,)
    """
    addresses = np.asarray(addresses, dtype=np.int64)
    x = (addresses >> config.x_low) & ((1 << config.x_bits) - 1)
    y = (addresses >> config.y_low) & ((1 << config.y_bits) - 1)
    polarity = (addresses >> config.polarity_low) & 1 if config.polarities == 2 else 0 * x
    steps = config.steps
    axons = x * steps[0] + y * steps[1] + polarity * steps[2]
    return np.where((x < config.columns) & (y < config.rows), axons, -1)
