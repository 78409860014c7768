import re

import nir
import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.frontend.nir.reader import read_network
from lamina.models.config import ResetRule


@pytest.fixture
def network_of(write_nir):
    """Function ``network_of(*neurons, metadata=None)``: file of a chain of 2-neuron nodes."""
    def make(*neurons, metadata=None):
        nodes = {"input": nir.Input(np.array([2]))}
        nodes |= {f"n{index}": node for index, node in enumerate(neurons)}
        return write_nir(nodes | {"output": nir.Output(np.array([2]))}, metadata=metadata)
    return make


def lif(tau, r, v_reset=0.0):
    pair = np.ones(2)
    return nir.LIF(tau=tau * pair, r=r * pair, v_leak=0 * pair, v_threshold=pair,
                   v_reset=v_reset * pair)


def integrator(r, v_reset=0.0):
    return nir.IF(r=r * np.ones(2), v_threshold=np.ones(2), v_reset=v_reset * np.ones(2))


BETA = np.array([0.9, 0.95], dtype=np.float32)
SNNTORCH = {"tau": 1e-4 / (1 - BETA), "r": 1e-4 / (1 - BETA) / 1e-4}


@pytest.mark.parametrize(("node", "dt", "reset", "strict", "evidence"), [
    (lif(**SNNTORCH), 1e-4, ResetRule.SUBTRACT_DELAYED, True,
     "derived: r = tau/dt with dt = 0.0001 s, as snnTorch writes it"),
    (lif(5e-3, 1.0), 1e-3, ResetRule.VALUE, True,
     "derived: r is 1, as Norse writes it with dt = 0.001 s"),
    (lif(np.array([8e-3, 4e-3]), np.array([4.0, 2.0])), 2e-3, ResetRule.VALUE, True,
     "derived: tau/r is 0.002 s in every neuron, so inputs act unscaled"),
    (lif(**SNNTORCH, v_reset=0.25), 1e-4, ResetRule.VALUE, True, "as snnTorch writes it"),
    (integrator(1e4), 1e-4, ResetRule.VALUE, False,
     "derived: r = 1/dt = 10000, as spikingjelly writes it"),
    (integrator(1.0), 1.0, ResetRule.SUBTRACT, False,
     "derived: r is 1 in an IF node, as sinabs writes it, whose inputs act unscaled"),
])
def test_the_parameters_give_the_exporter_away(network_of, node, dt, reset, strict, evidence):
    network = read_network(network_of(node))
    layer = network.layers[0]
    assert (layer.reset, layer.strict) == (reset, strict)
    assert network.assumptions["dt"].startswith(f"{dt:.6g} s, ")
    assert network.assumptions["dt"].endswith(evidence)
    np.testing.assert_allclose(np.diag(layer.weights), 1.0 if node.r[0] != 1 or dt == 1 else 0.2)
    expected = BETA if "snnTorch" in evidence else 1 - dt / getattr(node, "tau", np.inf)
    np.testing.assert_allclose(layer.decay, expected, rtol=1e-6)


def test_the_source_of_every_assumption_is_told(network_of):
    path = network_of(lif(**SNNTORCH), metadata={"lamina_dt": 1e-4, "lamina_reset": "subtract"})
    stated = read_network(path).assumptions
    assert stated["dt"] == "0.0001 s, from the file's metadata"
    assert set(stated) == {"dt", "integrator", "reset", "comparison", "start", "timesteps",
                           "encoder", "decoding"}
    chosen = read_network(path, dt=5e-5, reset="value").assumptions
    assert chosen["dt"] == ("5e-05 s, from --dt; the file's metadata says 0.0001 s; the parameters "
                            "look different: r = tau/dt with dt = 0.0001 s, as snnTorch writes it")
    assert chosen["reset"] == "value, from --reset; the file's metadata says subtract"


def test_an_option_settles_what_the_parameters_leave_open(network_of):
    path = network_of(lif(np.array([8e-3, 4e-3]), np.array([4.0, 3.0])))
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: node n0: no known exporter "
                                        r"writes such tau and r; say the time step with --dt "
                                        r"SECONDS$"):
        read_network(path)
    assert read_network(path, dt=1e-3).assumptions["reset"] == (
        "value, as in NIR's equations; nothing in the file says otherwise")


def test_dt_equal_to_tau_leaves_no_memory(network_of):
    np.testing.assert_array_equal(read_network(network_of(lif(1e-4, 1.0))).layers[0].decay, 0.0)


@pytest.mark.parametrize(("nodes", "metadata", "options", "message"), [
    ([lif(**SNNTORCH), lif(5e-3, 1.0)], None, {},
     "node n0 implies dt = 0.0001 s (r = tau/dt with dt = 0.0001 s, as snnTorch writes it) but "
     "node n1 implies dt = 0.001 s (r is 1, as Norse writes it with dt = 0.001 s); say it with "
     "--dt SECONDS"),
    ([lif(**SNNTORCH)], {"lamina_dt": 1e-3}, {},
     "metadata lamina_dt = 0.001 s contradicts the parameters (r = tau/dt with dt = 0.0001 s, as "
     "snnTorch writes it); say the time step with --dt SECONDS"),
    ([lif(5e-4, 1.0)], None, {},
     "node n0: dt must be at most tau, the smallest is 0.0005 s, not 0.001 s"),
    ([lif(5e-3, 1.0, v_reset=0.5)], None, {"reset": "subtract"},
     "node n0: v_reset must be 0 under reset subtract, not 0.5; use --reset value"),
    ([lif(5e-3, np.array([0.0, 1.0]))], None, {},
     "node n0: no known exporter writes such tau and r; say the time step with --dt SECONDS"),
    ([integrator(np.array([2.0, 3.0]))], None, {},
     "node n0: no known exporter writes such tau and r; say the time step with --dt SECONDS"),
])
def test_contradictions_are_refused(network_of, refused, nodes, metadata, options, message):
    path = network_of(*nodes, metadata=metadata)
    with refused(f"{path}: {message}"):
        read_network(path, **options)


TAUS = np.array([4e-3, 2e-3])
KEPT = np.exp(-1e-3 / TAUS)


@pytest.mark.parametrize(("integrator", "decay", "weight"), [
    ("euler", 1 - 1e-3 / TAUS, 1e-3 / TAUS), ("exponential", KEPT, 1 - KEPT),
    ("mixed", KEPT, 1e-3 / TAUS),
])
def test_integrators(network_of, integrator, decay, weight):
    network = read_network(network_of(lif(TAUS, 1.0)), integrator=integrator)
    np.testing.assert_allclose(network.layers[0].decay, decay)
    np.testing.assert_allclose(np.diag(network.layers[0].weights), weight)
    assert network.assumptions["integrator"].lower().startswith(f"{integrator}: v ")
    assert network.assumptions["integrator"].endswith(", from --integrator")


def test_rockpool_gives_dt_and_integrator_away(network_of):
    network = read_network(network_of(lif(TAUS, TAUS * KEPT / 1e-3)))
    layer = network.layers[0]
    np.testing.assert_allclose(layer.decay, KEPT)
    np.testing.assert_allclose(np.diag(layer.weights), KEPT)
    assert network.assumptions["dt"] == (
        "0.001 s, derived: r = tau exp(-dt/tau)/dt, as Rockpool writes it")
    assert network.assumptions["integrator"].endswith("as Rockpool writes it")


def test_a_leaky_rest_becomes_a_bias(network_of):
    node = lif(4e-3, 1.0)
    node.v_leak = np.array([0.5, -1.0])
    np.testing.assert_allclose(read_network(network_of(node)).layers[0].bias, [0.125, -0.25])


def cuba(tau_syn, w_in):
    pair = np.ones(2)
    return nir.CubaLIF(tau_syn=tau_syn * pair, w_in=w_in * pair, tau_mem=4e-4 * pair,
                       r=4.0 * pair, v_leak=0 * pair, v_threshold=pair, v_reset=0 * pair)


@pytest.mark.parametrize(("node", "options", "message"), [
    (cuba(2e-4, 1.0), {}, "node n0: the membrane implies dt = 0.0001 s (r = tau/dt with dt = "
     "0.0001 s, as snnTorch writes it) but tau_syn/w_in is 0.0002 s; say it with --dt SECONDS"),
    (cuba(2e-4, np.array([1.0, 2.0])), {}, "node n0: the membrane implies dt = 0.0001 s (r = "
     "tau/dt with dt = 0.0001 s, as snnTorch writes it) but tau_syn/w_in is no constant; say it "
     "with --dt SECONDS"),
    (cuba(2e-4, 2.0), {"dt": 3e-4},
     "node n0: dt must be at most tau_syn, the smallest is 0.0002 s, not 0.0003 s"),
    (lif(**SNNTORCH), {"refractory": 1},
     "--refractory 1 goes with --reset value, not subtract-delayed"),
])
def test_more_contradictions_are_refused(network_of, refused, node, options, message):
    path = network_of(node)
    with refused(f"{path}: {message}"):
        read_network(path, **options)


def test_rest_after_a_reset_is_told(network_of):
    network = read_network(network_of(lif(5e-3, 1.0)), reset="value", refractory=1)
    assert network.layers[0].refractory == 1
    assert network.assumptions["reset"] == (
        "value, from --reset; a neuron rests for one timestep after a spike")
