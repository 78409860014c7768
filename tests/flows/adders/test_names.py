"""Adders by name, by netlist and by file."""

import re

import pytest

from lamina.flows.adders.names import read_adder, read_adders, read_netlists
from lamina.flows.errors import UserError

ONE = "net:one:2:and.0.2,xor.1.3:6,7,4"
TWO = "net:two:1:or.0.1:4,2"


@pytest.fixture
def file(tmp_path):
    """Function that writes lines to a file and returns its path as text."""
    def write(*lines):
        path = tmp_path / "some.net"
        path.write_text("\n".join(lines))
        return str(path)
    return write


def labels(specs):
    return [spec.label for spec in specs]


def test_lists_of_names(file):
    path = file("# two of them", ONE, "", TWO)
    assert labels(read_adders("loa:4, exact,loa:4")) == ["loa:4", "exact"]
    assert labels(read_adders(f"{ONE},loa:4,{TWO},5kb")) == ["one", "loa:4", "two", "5kb"]
    assert labels(read_adders(f"exact,@{path}")) == ["exact", "one", "two"]
    assert read_adders(ONE)[0].name == ONE


def test_single_names(file):
    assert read_adder("gear:4:2").window == (4, 2)
    assert read_adder(ONE).label == "one"
    assert read_adder(f"@{file(TWO)}").name == TWO


def test_bad_lists():
    with pytest.raises(UserError, match=r"^--adders must name at least one adder$"):
        read_adders(" ,")
    with pytest.raises(UserError, match=r"^adder loa k must be in 1\.\.16, not 77$"):
        read_adders("exact,loa:77")


def test_a_single_adder_is_one(file):
    path = file(ONE, TWO)
    with pytest.raises(UserError, match=f"^{re.escape(path)}: must hold one netlist, not 2$"):
        read_adder(f"@{path}")


@pytest.mark.parametrize(("line", "message"), [
    ("net:a:1:and.0.4,or.0.1:0,0", "a gate 0 input must be in 0..3, not 4"),
    ("net:a:1:and.0.5,or.4.1:0,0", "a gate 0 input must be in 0..3, not 5"),
    ("net:a:2:and.0.1:0,6", "a must have 2 sum bits and a carry, not 2 outputs"),
    ("net:a:1:mux.0.1:0,0", "a gate 0 must be one of and, or, xor, nand, nor, xnor, andn, not, "
     "buf, not 'mux'"),
    ("net:a:1:and.0.1", "netlist must read net:NAME:K:kind.x.y,...:outputs, "
     "not 'net:a:1:and.0.1'"),
    ("loa:4", "netlist must read net:NAME:K:kind.x.y,...:outputs, not 'loa:4'"),
])
def test_bad_files_are_refused(file, line, message):
    """Gates that see themselves or later ones (loops), wrong ports, unknown gates."""
    path = file(ONE, line)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: line 2: {message}')}$"):
        read_netlists(path)


def test_files_are_text(tmp_path):
    path = tmp_path / "noise.net"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"/noise\.net: must be a text file of netlists$"):
        read_netlists(str(path))
