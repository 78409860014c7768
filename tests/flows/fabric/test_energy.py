"""What a mesh takes, against sums made by hand."""

import dataclasses

import pytest

from lamina.flows.fabric.energy import core_pj, flit_energy, link_mm, mesh_energy
from lamina.flows.sky130.table import measurements, router_measurement
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig

CORE = HardwareConfig(lanes=16, tiers=(2, 2, 2, 2), weight_words=2048, axons=256, groups=16,
                      state_bits=16, acc_bits=20)
MESH = MeshConfig(size=(4,), payload_bits=8)


def test_a_flit_by_hand():
    """Half the bits, three ports of five; 10 bits, half of them over .4 pF at 1.8 V."""
    router = dataclasses.replace(router_measurement(), flit_bits=20, ports=5, pj_per_flit=4.0,
                                 pj_per_cycle=10.0)
    found = flit_energy(MESH, 2.0, router)
    assert MESH.flit_bits == 10
    assert (found.router, found.clock) == (2.0, 3.0)
    assert found.link == pytest.approx(5 * 0.4 * 1.8**2 / 2)
    assert found.hop == pytest.approx(2 + 3.24)


def test_a_tile_is_as_large_as_its_memories():
    """2,048 x 128 bit of weights and 256 x 16 of state are 16.25 macros, and .3869 mm2 of cells."""
    assert link_mm(CORE) == pytest.approx((16.25 * 0.284538 + 0.3869036) ** 0.5)


def test_an_operation_is_that_of_the_core_without_leakage():
    measured = measurements()["16x8"]
    leakage = measured.cells_leakage + measured.macros_leakage
    assert core_pj(CORE) == pytest.approx(measured.total[1] - leakage, rel=0.03)


def test_a_mesh_by_hand():
    """Three flits over five links pass eight routers; all routers have a clock."""
    flit = flit_energy(MESH, link_mm(CORE))
    found = mesh_energy(CORE, MESH, sops=1000, routed=3, hops=5, cycles=50)
    assert found["cores_nj"] == pytest.approx(core_pj(CORE), abs=1e-3)
    assert found["flits_nj"] == pytest.approx((8 * flit.router + 5 * flit.link) / 1e3, abs=1e-3)
    assert found["router_clocks_nj"] == pytest.approx(4 * 50 * flit.clock / 1e3, abs=1e-3)
    assert found["nj"] == pytest.approx(
        found["cores_nj"] + found["flits_nj"] + found["router_clocks_nj"], abs=2e-3)
    assert found["pj_per_flit_hop"] == pytest.approx(flit.hop, abs=1e-3)
    assert found["assumption"].startswith("estimate")


def test_nothing_moves_nothing_takes():
    found = mesh_energy(CORE, MESH, sops=0, routed=0, hops=0, cycles=0)
    assert found["nj"] == 0


def test_the_router_that_is_shipped():
    """Its flip-flops hold five times four flits with their ways, and five registers, at least."""
    found = router_measurement()
    assert found.ports == 5 and found.flits > 1000
    assert found.flip_flops > 5 * (4 * (found.flit_bits + 3) + found.flit_bits)
    assert 0 < found.pj_per_flit < 100 and 0 < found.pj_per_cycle < 100
