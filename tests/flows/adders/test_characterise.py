"""Adders in SkyWater 130 nm: function of the mapped cells, order of their costs, the cache."""

import json
import re

import numpy as np
import pytest

from lamina.flows.adders import characterise as module
from lamina.flows.adders.characterise import characterise, find_library, map_adder
from lamina.flows.adders.names import read_adder
from lamina.flows.adders.operands import Operands
from lamina.flows.errors import UserError
from lamina.models.adders.adder import add
from lamina.models.adders.spec import EXACT, AdderSpec

SAMPLE = "net:sample:2:and.0.2,xor.1.3,nor.6.1,andn.7.8,not.9.0,nand.10.2:10,8,11"


def values(words, count):
    """Integers of uint64 (bits, words), two's complement."""
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :count]
    total = (bits.astype(np.int64) << np.arange(len(bits))[:, None]).sum(axis=0)
    return total - (bits[-1].astype(np.int64) << len(bits))


@pytest.mark.parametrize("name", ["loa:4", SAMPLE, *(
    pytest.param(name, marks=pytest.mark.long) for name in (
        "exact", "oloca:5:2", "eta1:6", "trua1:3", "copy:8", "ama1:5", "ama2:4", "ama3:4", "ama4:4",
        "gear:4:2", "esa:3", "5kb", "5rp", "@evo4_w4"))])
def test_mapped_cells_add_as_the_model(library, tmp_path, name):
    spec = read_adder(name)
    mapped, area = map_adder(spec, 18, library, tmp_path)
    a, b = (part.ravel() for part in Operands(kind="uniform").stream(spec, 18))
    found = mapped.simulate(a=module._planes(a, 18), b=module._planes(b, 18))
    np.testing.assert_array_equal(values(mapped.output("o", found), a.size), add(spec, a, b, 18))
    assert area > 100


def test_costs_follow_the_approximation(library, tmp_path):
    specs = [EXACT, AdderSpec.parse("loa:4"), AdderSpec.parse("loa:8")]
    seen = []
    results = characterise(specs, 18, Operands(), tmp_path, progress=lambda *at: seen.append(at))
    for field in ("cells", "area_um2", "delay_ns", "energy_fj"):
        exact, four, eight = (getattr(result, field) for result in results)
        assert exact > four > eight > 0
    assert 400 < results[0].area_um2 < 600 and 2 < results[0].delay_ns < 5
    assert 300 < results[0].energy_fj < 1000
    assert seen == [(0, 3), (1, 3), (2, 3)]


def test_results_are_kept(library, tmp_path):
    small = Operands(weights=np.array([1, -1]))
    (first,) = characterise([EXACT], 6, small, tmp_path)
    (path,) = tmp_path.iterdir()
    stored = json.loads(path.read_text())
    assert stored["energy_fj"] == first.energy_fj
    path.write_text(json.dumps(stored | {"energy_fj": 1.5}))
    assert characterise([EXACT], 6, small, tmp_path)[0].energy_fj == 1.5
    (other,) = characterise([EXACT], 6, Operands(), tmp_path)
    assert other.energy_fj not in (1.5, first.energy_fj)
    path.unlink()
    assert characterise([EXACT], 6, small, tmp_path) == [first]


def test_the_library_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    message = ("PDK_ROOT must hold sky130A/libs.ref/sky130_fd_sc_hd/lib/"
               "sky130_fd_sc_hd__tt_025C_1v80.lib: pip install ciel, run ciel enable --pdk-family "
               "sky130 VERSION, and set PDK_ROOT")
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        find_library()
