import itertools
import json
import pathlib

import h5py
import nir
import numpy as np
import pytest

from lamina.flows import cli
from lamina.flows.check import check_network


def lif(neurons, **fields):
    ones = np.ones(neurons)
    values = {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | fields
    return nir.LIF(**{name: value * ones for name, value in values.items()})


def cuba(neurons):
    ones = np.ones(neurons)
    return nir.CubaLIF(tau_syn=2e-4 * ones, w_in=2 * ones, tau_mem=4e-4 * ones, r=4 * ones,
                       v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)


@pytest.fixture
def write(tmp_path):
    """Function ``write(nodes, extra_edges=()) -> Path``: a chain of nodes between ports."""
    def make(nodes, extra_edges=()):
        nodes = {"input": nir.Input(np.array([2])), **nodes, "output": nir.Output(np.array([2]))}
        names = list(nodes)
        path = tmp_path / "net.nir"
        nir.write(path, nir.NIRGraph(nodes=nodes, type_check=False,
                                     edges=[*itertools.pairwise(names), *extra_edges]))
        return path
    return make


def verdicts(verdict):
    return {node.path: (node.verdict, node.why) for node in verdict.nodes}


@pytest.fixture
def good(write):
    inner = nir.NIRGraph(
        nodes={"input": nir.Input(np.array([2])), "lif": cuba(2), "w": nir.Linear(np.eye(2)),
               "output": nir.Output(np.array([2]))},
        edges=[("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")])
    return write({"fc": nir.Affine(np.eye(2), np.ones(2)), "block": inner, "last": lif(2)})


def test_every_node_of_a_good_network_has_a_verdict(good):
    verdict = check_network(good)
    layer = ("supported", "a layer of neurons")
    into = ("folded", "into the weights of the layers that it leads to")
    port = ("folded", "a port of a nested graph")
    assert verdicts(verdict) == {
        "input": ("supported", "the border of the network"), "fc": into, "block.input": port,
        "block.lif": ("supported",
                      "a layer of neurons and one that integrates its synaptic current"),
        "block.w": into, "block.output": port, "last": layer,
        "output": ("supported", "the border of the network")}
    assert verdict.refusal is None and verdict.to_dict()["supported"] is True
    assert [(entry["name"], entry["neurons"], entry["axons"]) for entry in verdict.layers] == [
        ("block.current", 2, 4), ("block", 2, 0), ("last", 2, 2)]
    assert verdict.assumptions["dt"].startswith("0.0001 s, derived: ")


def test_a_refusal_names_its_node_and_spares_the_others(write):
    path = write({"fc": nir.Linear(np.eye(2)), "lif": lif(2, tau=-1.0)})
    verdict = check_network(path)
    assert verdict.refusal == f"{path}: node lif: tau must be positive, not -1"
    assert verdicts(verdict)["lif"] == ("refused", "tau must be positive, not -1")
    assert verdicts(verdict)["fc"] == ("folded", "by itself")
    assert verdict.layers == () and verdict.to_dict()["supported"] is False


def test_unknown_types_are_refused_all_at_once(write):
    path = write({"one": nir.Linear(np.eye(2)), "two": nir.Linear(np.eye(2)), "lif": lif(2)})
    with h5py.File(path, "r+") as file:
        for name in ("one", "two"):
            del file[f"node/nodes/{name}/type"]
            file[f"node/nodes/{name}/type"] = "Alpha"
    told = verdicts(check_network(path))
    assert told["one"] == told["two"] == ("refused",
                                          "Alpha is no NIR primitive of version 1.0.8")


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_the_command_prints_a_table_and_succeeds(good, capsys):
    status, out, err = run(capsys, "check", good)
    assert status == 0 and err == ""
    assert "block.lif" in out and "supported" in out and "derived: r = tau/dt" in out


def test_the_command_prints_json(good, capsys):
    status, out, _ = run(capsys, "check", good, "--json", "--reset", "subtract")
    told = json.loads(out)
    assert status == 0 and told["supported"] is True
    assert told["assumptions"]["reset"] == "subtract, from --reset"


def test_the_command_fails_with_one_line(write, capsys):
    path = write({"one": lif(2), "two": lif(2, tau=5e-3, r=1.0)})
    status, out, err = run(capsys, "check", path)
    assert status == 2 and "supported" in out
    assert err == (f"lamina: {path}: node one implies dt = 0.0001 s (r = tau/dt with dt = 0.0001 "
                   f"s, as snnTorch writes it) but node two implies dt = 0.001 s (r is 1, as Norse "
                   f"writes it with dt = 0.001 s); say it with --dt SECONDS\n")


def test_programs_are_not_checked(tmp_path, capsys):
    folder = tmp_path / "out"
    assert cli.main(["compile", "examples/digits.nir", "--data", "digits", "-o",
                     str(folder)]) == 0
    capsys.readouterr()
    status, _, err = run(capsys, "check", pathlib.Path(folder / "program"))
    assert status == 2
    assert err == f"lamina: {folder / 'program'}: must be a .nir file, it is a program already\n"
