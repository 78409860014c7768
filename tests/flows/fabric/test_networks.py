"""Networks of every kind on meshes of every shape: bit for bit what one core computes."""

import itertools
import pathlib

import nir
import numpy as np
import pytest

from lamina.flows.errors import UserError
from lamina.flows.fabric.mapper import Activity, map_network, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig
from lamina.models.fabric.run import run_fabric
from lamina.models.network import run

ROOT = pathlib.Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "nets"
CORE = HardwareConfig(lanes=4, weight_words=256, axons=64, groups=8, layers=4)
MOST = {"weight_words": 65536, "axons": 16384, "groups": 1024, "mask_rows": 4096, "layers": 256,
        "state_bits": 24, "acc_bits": 32, "decay_bits": 16}
MESHES = [(1,), (4,), (2, 2), (2, 2, 2)]
RESETS = ("value", "subtract", "subtract-delayed", "subtract-rederived")


def lif(count, **fields):
    values = {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return nir.LIF(**{name: value * np.ones(count) for name, value in (values | fields).items()})


def cuba(count):
    values = {"tau_syn": 2e-4, "tau_mem": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0,
              "v_reset": 0.0, "w_in": 2.0}
    return nir.CubaLIF(**{name: value * np.ones(count) for name, value in values.items()})


def dense(rng, axons, neurons):
    return nir.Affine(rng.normal(0.15, 0.5, (neurons, axons)), rng.normal(0.05, 0.1, neurons))


def chain(rng, cell):
    return {"input": nir.Input(np.array([12])), "fc1": dense(rng, 12, 24), "n1": cell(24),
            "fc2": dense(rng, 24, 10), "n2": cell(10), "output": nir.Output(np.array([10]))}, None


def recurrent(rng, cell=cuba):
    """Every layer hears itself, and the first one the second a timestep later."""
    nodes, _ = chain(rng, cell)
    nodes |= {"w1": nir.Linear(rng.normal(0, 0.3, (24, 24))),
              "w2": nir.Linear(rng.normal(0, 0.3, (10, 10)))}
    order = ["input", "fc1", "n1", "fc2", "n2", "output"]
    return nodes, [*itertools.pairwise(order), ("n1", "w1"), ("w1", "n1"), ("n2", "w2"),
                   ("w2", "n2")]


def delayed(rng):
    """A branch that is three timesteps late."""
    nodes, _ = chain(rng, lif)
    nodes |= {"late": nir.Delay(np.full(24, 3e-4)), "fc3": nir.Linear(rng.normal(0, 0.5, (10, 24)))}
    order = ["input", "fc1", "n1", "fc2", "n2", "output"]
    return nodes, [*itertools.pairwise(order), ("n1", "late"), ("late", "fc3"), ("fc3", "n2")]


def convolution(rng):
    kernel = rng.normal(0.1, 0.5, (3, 2, 3, 3))
    ones = np.ones((3, 6, 6))
    return {"input": nir.Input(np.array([2, 6, 6])),
            "conv": nir.Conv2d((6, 6), kernel, 1, 1, 1, 1, rng.normal(0, 0.1, 3)),
            "n1": nir.IF(r=1e4 * ones, v_threshold=ones, v_reset=0 * ones),
            "flat": nir.Flatten({"input": np.array([3, 6, 6])}, 0, -1),
            "fc": dense(rng, 108, 8), "n2": lif(8), "output": nir.Output(np.array([8]))}, None


KINDS = {"recurrent currents": recurrent, "delays": delayed, "convolution": convolution}
NAMES = ["digits", *KINDS, *RESETS, "braille_bias_zero", "braille_nobias_subtract"]


def compiled(name, folder):
    """Program and input spikes of 3 samples."""
    if name == "digits":
        path, options = ROOT / "examples" / "digits.nir", {"data": "digits"}
    elif name.startswith("braille"):
        path = SHARED / f"nir_paper_{name}.nir"
        options = {"random_samples": 8} | ({"reset": "value", "refractory": 1}
                                           if "zero" in name else {})
        if not path.is_file():
            pytest.skip("the published networks are not here")
    else:
        rng, path = np.random.default_rng(5), folder / "net.nir"
        nodes, edges = (KINDS[name] if name in KINDS else lambda rng: chain(rng, lif))(rng)
        graph = nir.NIRGraph(nodes=nodes, edges=edges or list(itertools.pairwise(nodes)),
                             type_check=False)
        nir.write(path, graph)
        options = {"dt": 1e-4, "timesteps": 12, "random_samples": 8,
                   "reset": name if name in RESETS else "subtract"}
    made = compile_network(path, CompileOptions(**options))
    return made.program, made.data.encoded(made.program, 0, 3)


def mapped(program, spikes, size):
    return map_network(program, MeshConfig(size=size), CORE,
                       Activity.measured(program, spikes, CORE.tiers), MOST)


@pytest.fixture(scope="session")
def shared_builds(tmp_path_factory):
    """Folder of the simulators: their runtime is compiled once."""
    return tmp_path_factory.mktemp("fabrics")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", MESHES, ids=lambda size: "x".join(map(str, size)))
def test_every_mesh_computes_the_same(name, size, tmp_path):
    """In the golden models: the fabric, tile by tile, and the whole network."""
    program, spikes = compiled(name, tmp_path)
    fabric = mapped(program, spikes, size).fabric
    whole, found = run(program, spikes, CORE.tiers, trace=True), run_fabric(
        fabric, spikes, CORE.tiers)
    for number in range(len(program.layers)):
        np.testing.assert_array_equal(found.spikes[number], whole.layer_spikes[number])
        np.testing.assert_array_equal(found.membranes[number], whole.layer_membranes[number])
    assert whole.spikes.any()
    assert len(fabric.tiles) > 1 or size == (1,)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "size"), [
    pytest.param(name, size, id=f"{name}-{'x'.join(map(str, size))}",
                 marks=[pytest.mark.long] * ((name, size) != ("recurrent currents", (4,))))
    for name in NAMES for size in MESHES])
def test_every_mesh_simulates_the_same(name, size, tmp_path, shared_builds):
    """On RTL, event for event and membrane for membrane."""
    program, spikes = compiled(name, tmp_path)
    found = mapped(program, spikes, size)
    core = tile_core(found.fabric, CORE, MOST)
    result = verify_fabric(found, core, spikes, None, shared_builds, workers=1)
    assert result["mismatches"] == 0
    assert result["events_compared"] > 15
    assert result["membranes_compared"] == 3 * sum(layer.neurons for layer in program.layers)
    assert result["mesh"]["expected_cycles"] == pytest.approx(result["mesh"]["cycles"], rel=0.05)


def test_what_cannot_be_divided_is_named(tmp_path):
    """A convolution is whole on a tile: where it does not fit, the line says what is short."""
    program, spikes = compiled("convolution", tmp_path)
    activity = Activity.measured(program, spikes, CORE.tiers)
    with pytest.raises(UserError, match=r"^--mesh 2x2 is too small: n1 needs 36 neuron "
                                        r"groups, has 8"):
        map_network(program, MeshConfig(size=(2, 2)), CORE, activity, MOST | {"groups": 8})
