"""The process kit: where it is looked for, and what is said where it lacks."""

import gzip
import re

import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130.liberty import library_text
from lamina.flows.sky130.pdk import CELLS, corner_volts, find_library

ADVICE = "pip install ciel, run ciel enable --pdk-family sky130 VERSION, and set PDK_ROOT"


def test_a_packed_library_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    folder = tmp_path / "sky130A" / "libs.ref" / CELLS / "lib"
    folder.mkdir(parents=True)
    packed = folder / f"{CELLS}__ss_n40C_1v28.lib.gz"
    packed.write_bytes(gzip.compress(b"library"))
    assert find_library("ss_n40C_1v28") == packed and library_text(packed) == "library"
    plain = packed.with_suffix("")
    plain.write_text("plain")
    assert find_library("ss_n40C_1v28") == plain and library_text(plain) == "plain"


def test_another_variant_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    (tmp_path / "sky130B" / "libs.ref").mkdir(parents=True)
    message = f"PDK_ROOT must hold sky130A, not sky130B alone: {ADVICE}"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        find_library()


def test_a_missing_corner_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    (tmp_path / "sky130A" / "libs.ref").mkdir(parents=True)
    with pytest.raises(UserError, match=rf"^PDK_ROOT must hold sky130A/libs\.ref/{CELLS}/lib/"
                                        rf"{CELLS}__ss_100C_1v40\.lib: "):
        find_library("ss_100C_1v40")


@pytest.mark.parametrize(("corner", "volts"), [("tt_025C_1v80", 1.8), ("ss_n40C_1v28", 1.28)])
def test_the_supply_is_in_the_name(corner, volts):
    assert corner_volts(corner) == volts


def test_a_corner_without_a_supply_is_refused():
    with pytest.raises(ValueError, match=r"^corner must end with a supply such as 1v80, not 'tt'$"):
        corner_volts("tt")
