"""Random flits through a router for as many cycles as asked, every port against the golden one.

``LAMINA_CONFIG`` holds the :class:`MeshConfig`, ``LAMINA_SHARE`` the share of cycles in which an
input begins to offer a flit, ``LAMINA_CYCLES`` how many there are. ``flits.json`` has how many went
through. Every bit of a payload is drawn; what leaves is taken at once.
"""

from __future__ import annotations

import json
import os
import pathlib

import cocotb
import numpy as np

from lamina.tb.bench_router import ALL, CONFIG, NO_FLITS, NONE, PORTS, started

SHARE, CYCLES = float(os.environ["LAMINA_SHARE"]), int(os.environ["LAMINA_CYCLES"])


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def random_flits(dut):
    """As many flits leave as are taken."""
    bench = await started(dut)
    valid, flits = NONE.copy(), NO_FLITS.copy()
    for _ in range(CYCLES):
        for source in np.flatnonzero(~valid & (bench.rng.random(PORTS) < SHARE)).tolist():
            flits[source] = bench.flit(source, int(bench.rng.integers(1 << CONFIG.payload_bits)))
            valid[source] = True
        valid &= ~await bench.cycle(valid, flits, ALL)
    taken, accepted = (sum(map(len, each)) for each in (bench.taken, bench.accepted))
    assert 0 <= accepted - taken <= 2 * PORTS
    pathlib.Path("flits.json").write_text(json.dumps({"flits": taken}))
