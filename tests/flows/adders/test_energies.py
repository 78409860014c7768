"""Energies that come with the package are those of the cell library."""

import pathlib

import pytest

from lamina.flows.adders.catalogue import default_adders
from lamina.flows.adders.characterise import characterise
from lamina.flows.adders.energies import relative_energies, write_energies
from lamina.flows.adders.names import read_adder
from lamina.flows.adders.operands import Operands
from lamina.flows.adders.shipped import BITS, FIGURES, shipped_energies
from lamina.models.adders.spec import AdderSpec

OTHER = AdderSpec.parse("net:other:2::0,2,3")


def test_the_catalogue_is_shipped():
    assert set(shipped_energies()) == {spec.name for spec in default_adders()}


@pytest.mark.parametrize("name", [
    "exact", "@evo6_w16b8",
    *(pytest.param(spec.name, id=spec.label, marks=pytest.mark.long)
      for spec in default_adders()[1::9])])
def test_figures_are_measured_again(library, tmp_path, name):
    spec = read_adder(name)
    (found,) = characterise([spec], BITS, Operands(), tmp_path)
    assert found.energy_fj == shipped_energies()[spec.name]


def test_shipped_figures_need_no_library(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    specs = default_adders()
    found = relative_energies(specs, tmp_path / "cells")
    assert set(found) == {spec.name for spec in specs} and found["exact"] == 1
    assert found["loa:8"] == pytest.approx(shipped_energies()["loa:8"]
                                           / shipped_energies()["exact"], abs=1e-6)
    assert capsys.readouterr().err == "" and not (tmp_path / "cells").exists()


def test_without_a_library_a_new_adder_counts_as_exact(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    assert relative_energies([OTHER], tmp_path / "cells")[OTHER.name] == 1
    assert capsys.readouterr().err.startswith(
        "other counted with the energy of the exact adder: PDK_ROOT must hold ")


def test_a_new_adder_is_measured(library, tmp_path):
    found = relative_energies([OTHER], tmp_path / "cells")
    assert 0.5 < found[OTHER.name] < 1 and len(list((tmp_path / "cells").iterdir())) == 1


def test_the_file_is_written_as_it_is_read(tmp_path):
    write_energies(shipped_energies(), {
        "library": "sky130_fd_sc_hd__tt_025C_1v80", "operands": "walk",
        "weights": "uniform, 8 bit", "yosys": "0.70.0.0.post1259"}, tmp_path / "energy.json")
    assert (tmp_path / "energy.json").read_bytes() == pathlib.Path(FIGURES).read_bytes()
