"""A small router as cells, held to the golden one in every cycle, and weighed."""

import dataclasses

import pytest

from lamina.flows.sky130.router import measure_router
from lamina.flows.sky130.table import RouterMeasurement, keep_router, router_measurement
from lamina.models.fabric.config import MeshConfig

ROUTER = RouterMeasurement(ports=3, flit_bits=10, fifo_depth=2, share=0.5, cycles=40, flits=20,
                           cells=5, flip_flops=4, clock_gates=1, cells_um2=7.5, pj_per_flit=2.0,
                           pj_per_cycle=3.0, leakage_nw=0.5)


def test_what_was_measured_is_kept_byte_for_byte(tmp_path):
    path = tmp_path / "router.json"
    keep_router(ROUTER, {"clock_mhz": 50}, path)
    before = path.read_bytes()
    assert router_measurement(path) == ROUTER
    keep_router(router_measurement(path), {"clock_mhz": 50}, path)
    assert path.read_bytes() == before


@pytest.mark.long
def test_a_small_router(kit, build_dir):
    """Fewer bits than in the one that is shipped: less of everything, and nothing for nothing."""
    found = measure_router(MeshConfig(size=(4,), fifo_depth=2, payload_bits=8),
                           build_dir / "router", share=0.2, cycles=600)
    large = router_measurement()
    assert (found.ports, found.flit_bits) == (3, 10)
    assert found.flits > 200
    assert 3 * (2 * 12 + 10) <= found.flip_flops < large.flip_flops
    assert 0.2 < found.pj_per_flit < large.pj_per_flit
    assert 0 < found.pj_per_cycle < large.pj_per_cycle
    assert all(value > 0 for value in dataclasses.astuple(found))
