"""Targets: the boards that ship, and boards that users describe."""

import dataclasses
import re
import shutil

import pytest

from lamina.flows.designs import TARGETS, load_target
from lamina.flows.errors import UserError
from lamina.models.config import HardwareConfig

BOARD = """
name = "mine"
family = "ice40"
device = "up5k"
package = "sg48"
constraint = "pins.pcf"
crystal_mhz = 12
clock_mhz = 30
baud = 1000000
[core]
lanes = 4
groups = 16
axons = 256
"""


def write(folder, text=BOARD):
    (folder / "pins.pcf").write_text("set_io crystal 35\n")
    (folder / "mine.toml").write_text(text)
    return str(folder / "mine.toml")


def test_the_boards_that_ship():
    assert list(TARGETS) == ["icebreaker", "ulx3s", "sky130"]
    assert load_target("icebreaker") is TARGETS["icebreaker"]
    for target in (target for target in TARGETS.values() if target.is_board):
        pins = target.constraint.read_text()
        for pin in ("crystal", "rx", "tx", "led_idle", "led_error"):
            assert re.search(rf"\b{pin}\b", pins)


def test_an_ultraplus_holds_one_tier_per_memory():
    config = TARGETS["icebreaker"].config
    assert (config.bank, config.lanes, config.tiers) == ("spram", 8, (2, 2, 2, 2))
    assert config.weight_words == 16384


def test_own_board(tmp_path):
    target = load_target(write(tmp_path))
    assert (target.name, target.core_mhz) == ("mine", 30.0)
    assert target.config == HardwareConfig(lanes=4, groups=16, axons=256)
    assert target.constraint == tmp_path / "pins.pcf"


def test_a_shipped_board_can_be_copied(tmp_path):
    original = TARGETS["ulx3s"]
    for path in (original.constraint, original.constraint.with_suffix(".toml")):
        shutil.copyfile(path, tmp_path / path.name)
    copy = load_target(str(tmp_path / "ulx3s.toml"))
    assert dataclasses.replace(copy, constraint=original.constraint) == original


@pytest.mark.parametrize(("old", "new", "message"), [
    ('"mine"', '"my board"', "name must be a Verilog identifier, not 'my board'"),
    ('"ice40"', '"gowin"', "family must be one of ice40, ecp5, sky130, not 'gowin'"),
    ('"up5k"', '"85k"', "device must be one of up5k, hx1k, hx4k, hx8k, lp1k, lp4k, lp8k, "
                        "not '85k'"),
    ("baud", "speed = 9\nbaud", "speed must be in 6..8, not 9"),
    ("pins.pcf", "pins.lpf", "constraint must be a .pcf file, not pins.lpf"),
    ("lanes = 4", "lanes = 6", "core: lanes must be a power of two, not 6"),
    ("lanes = 4", "lanes = 3.5", "core: lanes must be an int, not 3.5"),
    ("lanes", "lane", "core: unknown key 'lane'"),
    ("package", "pack", "unknown key 'pack'"),
    ("baud = 1000000", "", "missing key 'baud'"),
    ("[core]", "[core", "Expected ']' at the end of a table declaration (at line 10, column 6)"),
    ("1000000", '"fast"', "baud must be an int, not 'fast'"),
    ('"up5k"', '"hx8k"', "bank must not be spram on the hx8k, only on the up5k"),
])
def test_a_wrong_description_names_file_and_key(tmp_path, old, new, message):
    text = BOARD
    if "hx8k" in new:
        text = text.replace("lanes = 4", 'lanes = 8\nbank = "spram"')
    path = write(tmp_path, text.replace(old, new, 1))
    with pytest.raises(UserError, match=f"^target {re.escape(f'{path}: {message}')}$"):
        load_target(path)


def test_a_missing_constraint_file(tmp_path):
    path = write(tmp_path)
    (tmp_path / "pins.pcf").unlink()
    message = f"target {path}: constraint file {tmp_path / 'pins.pcf'} does not exist"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        load_target(path)


def test_an_unknown_name():
    with pytest.raises(UserError, match=r"^target must be one of icebreaker, ulx3s, sky130 or a "
                                        r"\.toml file, not 'gf180'$"):
        load_target("gf180")


def test_a_missing_description():
    with pytest.raises(UserError, match=r"^target nowhere\.toml: no such file$"):
        load_target("nowhere.toml")
