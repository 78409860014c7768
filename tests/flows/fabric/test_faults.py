"""Lists of dead links and tiles: read, refused in one line, kept out of the way of a network."""

import dataclasses
import itertools
import json
import pathlib

import numpy as np
import pytest

from lamina.flows import cli
from lamina.flows.backend.simulate import SimulationError
from lamina.flows.errors import UserError
from lamina.flows.fabric.faults import parse_faults
from lamina.flows.fabric.mapper import Activity, map_network, tile_core
from lamina.flows.fabric.verify import verify_fabric
from lamina.flows.frontend.compile import CompileOptions, compile_network
from lamina.flows.job import Options, resolve
from lamina.models.config import HardwareConfig
from lamina.models.fabric.config import MeshConfig, Port
from lamina.models.fabric.routes import Faults, order_routes
from lamina.models.fabric.tables import sized
from lamina.models.fabric.timing import fabric_cycles
from lamina.models.network import run

NET = str(pathlib.Path(__file__).parents[3] / "examples" / "digits.nir")
CORE = HardwareConfig(lanes=4, weight_words=2048, axons=128, groups=16, acc_bits=20)
SQUARE = MeshConfig(size=(3, 3), routing="table")


@pytest.fixture(scope="module")
def digits():
    compiled = compile_network(NET, CompileOptions(data="digits"))
    spikes = compiled.data.encoded(compiled.program, 0, 4)
    return compiled.program, spikes, Activity.measured(compiled.program, spikes, compiled.tiers)


@pytest.mark.parametrize(("links", "tiles", "found"), [
    ("0-1,5-8", None, ({(0, 1), (5, 8)}, set())), ("1-0", "4", ({(0, 1)}, {4})),
    (None, "7,2", (set(), {2, 7})), ("3-4", "4", ({(3, 4)}, {4}))])
def test_lists_are_read(links, tiles, found):
    faults = parse_faults((3, 3), links, tiles)
    assert (set(faults.links), set(faults.tiles)) == found


def test_lists_are_read_from_files(tmp_path):
    (tmp_path / "links").write_text("0-1 4-5,\n7-8\n")
    (tmp_path / "tiles").write_text("6\n")
    faults = parse_faults((3, 3), f"@{tmp_path / 'links'}", f"@{tmp_path / 'tiles'}")
    assert faults.links == {(0, 1), (4, 5), (7, 8)} and faults.tiles == {6}


@pytest.mark.parametrize(("options", "message"), [
    (["--mesh", "3x3", "--dead-links", "0-2"],
     "--mesh 3x3: dead link must join neighbours, not tiles 0 and 2"),
    (["--mesh", "3x3", "--dead-links", "2-3"],
     "--mesh 3x3: dead link must join neighbours, not tiles 2 and 3"),
    (["--mesh", "3x3", "--dead-links", "8-9"],
     "--mesh 3x3: dead link must join neighbours, not tiles 8 and 9"),
    (["--mesh", "3x3", "--dead-links", "1-0,0-1"],
     "--dead-links: 0-1 must be listed once, not 2 times"),
    (["--mesh", "3x3", "--dead-links", "0-1,"],
     "--dead-links must be pairs of neighbouring tiles like 0-1,5-9, or @FILE with such, not ''"),
    (["--mesh", "3x3", "--dead-links", "0:1"], "--dead-links must be pairs of neighbouring tiles "
     "like 0-1,5-9, or @FILE with such, not '0:1'"),
    (["--mesh", "3x3", "--dead-tiles", "4,-1"],
     "--dead-tiles must be tiles like 3,7, or @FILE with such, not '-1'"),
    (["--mesh", "3x3", "--dead-tiles", "9"], "--mesh 3x3: dead tile must be in 0..8, not 9"),
    (["--mesh", "3x3", "--dead-tiles", "4,5,4"],
     "--dead-tiles: 4 must be listed once, not 2 times"),
    (["--mesh", "3x3", "--dead-tiles", "0"],
     "--dead-tiles: tile 0 must work, the host is at its router"),
    (["--mesh", "3x3", "--dead-tiles", "1,4", "--dead-links", "6-7"],
     "--mesh 3x3: dead links or tiles must not cut off tiles 2, 5, 7, 8 from tile 0, the host's"),
    (["--dead-tiles", "1"], "--dead-tiles needs a --mesh of a given size, not 1x1x1"),
    (["--mesh", "1x1x1", "--dead-links", "0-1"],
     "--dead-links needs a --mesh of a given size, not 1x1x1"),
    (["--mesh", "auto", "--dead-links", "0-1"],
     "--dead-links needs a --mesh of a given size, not auto"),
    (["--mesh", "3x3", "--dead-tiles", "@nowhere"],
     "--dead-tiles @nowhere: No such file or directory"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_what_cannot_be_is_one_line_and_leaves_nothing(options, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["verify", NET, *options, "-o", str(out)]) == 2
    assert capsys.readouterr().err == f"lamina: {message}\n"
    assert not out.exists()


def test_an_empty_file_lists_nothing(tmp_path):
    (tmp_path / "none").write_text("\n")
    with pytest.raises(UserError, match=r"^--dead-tiles must be .*, not 'nothing'$"):
        parse_faults((3, 3), None, f"@{tmp_path / 'none'}")


def test_faults_belong_to_their_mesh(tmp_path):
    """A later command on the folder has them too, but not with another mesh."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "program.json").write_text("{}")
    (tmp_path / "lamina.json").write_text(json.dumps({"mesh": "3x3", "dead_tiles": "4"}))
    assert resolve(Options(net=tmp_path), "verify").mesh_faults.tiles == {4}
    assert resolve(Options(net=tmp_path, mesh="2x2"), "verify").mesh_faults is None


def test_dead_tiles_get_nothing_and_ways_go_around(digits):
    program, _, activity = digits
    faults = Faults(SQUARE, [(0, 1)], [4])
    mapped = map_network(program, SQUARE, CORE, activity, faults=faults)
    assert set(mapped.fabric.tiles) <= set(faults.alive) and len(mapped.fabric.tiles) > 4
    alive = {(tile, port) for tile in faults.alive for port in faults.neighbours(tile)}
    assert set(mapped.link_flits) == alive
    assert sum(mapped.link_flits.values()) == pytest.approx(mapped.flit_hops)
    here, way = 0, []
    while here != 2:
        port = Port(int(mapped.routes[here, 2]))
        way.append((here, port))
        here = SQUARE.neighbour(here, port)
    assert set(way) <= alive and mapped.hops[0, 2] == len(way)
    assert mapped.hops[-1, 2] == len(way)


def test_places_know_the_ways_around(digits):
    """Less flits times links than drawn places of the same shares have."""
    program, _, activity = digits
    faults = Faults(SQUARE, [(0, 1), (4, 7)], [5])
    mapped = map_network(program, SQUARE, CORE, activity, faults=faults)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(50):
        moved = np.arange(10)
        moved[faults.alive] = rng.permutation(faults.alive)
        drawn.append(float((mapped.traffic * mapped.hops[np.ix_(moved, moved)]).sum()))
    assert mapped.flit_hops <= min(drawn)


def test_too_few_working_tiles_are_named(digits):
    program, _, activity = digits
    faults = Faults(MeshConfig(size=(2, 2), routing="table"), tiles=[1, 2])
    with pytest.raises(UserError, match="cut off tiles 3"):
        parse_faults((2, 2), None, "1,2")
    faults = Faults(MeshConfig(size=(2, 2), routing="table"), tiles=[3, 2])
    small = HardwareConfig(lanes=4, weight_words=300, axons=128, groups=16, acc_bits=20)
    map_network(program, MeshConfig(size=(2, 2), routing="table"), small, activity)
    with pytest.raises(UserError, match=r"^--mesh 2x2 with 2 working tiles is too small: .* "
                                        r"needs \d+ weight words, has 300"):
        map_network(program, faults.config, small, activity, faults=faults)


def test_longer_ways_take_longer(digits):
    """The model of the time goes the same ways: same tiles, more links, more cycles."""
    program, spikes, activity = digits
    trace = run(program, spikes, CORE.tiers, trace=True)
    layers = [layer[0] for layer in trace.layer_spikes]
    healthy = map_network(program, SQUARE, CORE, activity, faults=Faults(SQUARE))
    assert set(healthy.fabric.tiles) == set(range(9))
    found = []
    every = [(tile, other) for tile in range(9) for other in range(tile) if tile - other in (1, 3)
             and SQUARE.coordinates(tile)[0] - SQUARE.coordinates(other)[0] in (0, 1)]
    dead = next(links for links in itertools.combinations(every, 4)
                if not Faults(SQUARE, links).cut_off())
    for faults in (Faults(SQUARE), Faults(SQUARE, dead)):
        mapped = map_network(program, SQUARE, CORE, activity, faults=faults)
        fabric = healthy.fabric
        cost = fabric_cycles(fabric, sized(fabric, CORE), spikes[0], layers, (0, 1),
                             mapped.routes)
        found.append(cost)
    assert found[0].flits == found[1].flits
    assert found[0].flit_hops < found[1].flit_hops
    assert found[0].cycles < found[1].cycles


def test_a_flit_that_takes_a_dead_link_never_arrives(digits, tmp_path):
    """All the same but for the ways, which are those of a mesh without faults."""
    program, spikes, activity = digits
    square = MeshConfig(size=(2, 2), routing="table")
    mapped = map_network(program, square, CORE, activity, faults=Faults(square, [(0, 1)]))
    core = tile_core(mapped.fabric, CORE, {"state_bits": 24, "acc_bits": 32})
    wrong = dataclasses.replace(mapped, routes=order_routes(square))
    with pytest.raises(SimulationError, match="the fabric stands still"):
        verify_fabric(wrong, core, spikes[:1], None, tmp_path, workers=1)
    found = verify_fabric(mapped, core, spikes[:1], None, tmp_path, workers=1)
    assert found["mismatches"] == 0 and found["events_compared"] > 100


def verified(out, *options):
    assert cli.main(["verify", NET, "--data", "digits", "--samples", "2", "--workers", "1",
                     *options, "-o", str(out)]) == 0
    return json.loads((out / "verify" / "verify.json").read_text())


def test_a_mesh_with_faults_computes_what_one_core_computes(tmp_path):
    found = verified(tmp_path / "out", "--mesh", "3x2", "--dead-tiles", "5", "--dead-links", "0-3")
    assert found["mismatches"] == 0 and found["events_compared"] > 100
    mesh = found["mesh"]
    assert (mesh["dead_links"], mesh["dead_tiles"]) == ([[0, 3]], [5])
    assert {each["tile"] for each in mesh["tiles"]} == {0, 1, 2, 3, 4}
    assert mesh["expected_cycles"] == pytest.approx(mesh["cycles"], rel=0.03)
    assert (tmp_path / "out" / "verify" / "mesh.png").read_bytes().startswith(b"\x89PNG")
