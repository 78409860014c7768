import itertools
import re

import nir
import numpy as np
import pytest

from lamina.flows.errors import UserError


@pytest.fixture
def write_nir(tmp_path):
    """Function ``write(nodes, edges=None, metadata=None, name=...) -> Path``.

    Without edges the nodes form a chain in the order of the dictionary.
    """
    def write(nodes, edges=None, metadata=None, name="net.nir"):
        names = list(nodes)
        graph = nir.NIRGraph(nodes=nodes, type_check=False,
                             edges=edges or list(itertools.pairwise(names)))
        graph.metadata = metadata or {}
        nir.write(tmp_path / name, graph)
        return tmp_path / name
    return write


@pytest.fixture
def lif():
    """Function ``lif(neurons, **fields)``: a LIF node as snnTorch writes it, decay .75."""
    def make(neurons, **fields):
        ones = np.ones(neurons)
        values = {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
        return nir.LIF(**{name: value * ones for name, value in (values | fields).items()})
    return make


@pytest.fixture
def small_net(write_nir, lif):
    """File of a 6-5-3 network with snnTorch's constants and random weights."""
    rng = np.random.default_rng(7)
    return write_nir({
        "input": nir.Input(np.array([6])),
        "fc1": nir.Affine(rng.normal(0, 0.6, (5, 6)), rng.normal(0, 0.1, 5)), "lif1": lif(5),
        "fc2": nir.Linear(rng.normal(0.2, 0.7, (3, 5))), "lif2": lif(3),
        "output": nir.Output(np.array([3]))})


@pytest.fixture
def refused():
    """Function ``refused(message)``: a context that expects exactly this one-line UserError."""
    def expect(message):
        assert "\n" not in message
        return pytest.raises(UserError, match=f"^{re.escape(message)}$")
    return expect
