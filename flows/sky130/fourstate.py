"""A mapped device in a four-state simulator: from unknown contents to the golden model's bytes."""

from __future__ import annotations

import dataclasses
import importlib.resources
import pathlib
import re
import shutil
import subprocess

import numpy as np

from lamina.flows.backend.simulate import all_reporting
from lamina.flows.errors import UserError
from lamina.flows.sky130.synth import Synthesis
from lamina.models.config import HardwareConfig
from lamina.models.link.device import GoldenDevice
from lamina.models.link.driver import Driver, Exchange, converse
from lamina.models.program import Program

__all__ = ["conversation", "simulate_from_unknown"]

_END = 0xFFFFFFFF
_PASS = re.compile(r"PASS (\d+) bytes sent, (\d+) compared, (\d+) cycles")
_REMEDY = "apt-get install iverilog"


@dataclasses.dataclass
class _Script:
    """A golden device, and what was said to it and by it."""

    device: GoldenDevice
    words: list[int] = dataclasses.field(default_factory=list)

    def exchange(self, exchange: Exchange) -> bytes:
        answer = self.device.exchange(exchange)
        self.words += [len(exchange.data), *exchange.data, len(answer), *answer]
        return answer


def conversation(program: Program, config: HardwareConfig, spikes: np.ndarray) -> list[int]:
    """What a host says that loads `program` and runs `spikes`, and what it must hear.

    One frame at a time, so that a device which is idle before each answers as the golden one does,
    byte for byte. Every layer reports, and all membranes are read.

    Returns
    -------
    list of int
        Words of the script that ``tb/sky130_four_state.v`` replays.
    """
    line, driver = _Script(GoldenDevice(config)), Driver(config, window=1)
    converse(driver.hello(), line)
    converse(driver.load_program(all_reporting(program)), line)
    for sample in spikes:
        for step in sample:
            converse(driver.send_timestep(step), line)
        converse(driver.read_output(), line)
        converse(driver.read_membranes(), line)
        converse(driver.clear(), line)
    return [*line.words, _END]


def simulate_from_unknown(program: Program, config: HardwareConfig, spikes: np.ndarray,
                          synthesis: Synthesis, folder: pathlib.Path) -> dict:
    """Run `spikes` on the mapped device in Icarus Verilog; no bit has a value before reset.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
    spikes : uint8 array (N, T, axons)
    synthesis : Synthesis
    folder : pathlib.Path
        Receives script, simulator and log.

    Returns
    -------
    dict
        ``simulator, samples, bytes_sent, bytes_compared, cycles``.

    Raises
    ------
    UserError
        If Icarus Verilog is missing or fails, or the device answers otherwise than the golden one,
        be it with an unknown bit.
    """
    if shutil.which("iverilog") is None:
        raise UserError(f"iverilog was not found: {_REMEDY}")
    folder.mkdir(parents=True, exist_ok=True)
    words = conversation(program, config, spikes)
    (folder / "script.hex").write_text("".join(f"{word:08x}\n" for word in words))
    benches = importlib.resources.files("lamina.tb")
    sources = [str(benches / name) for name in ("sky130_four_state.v", "sky130_sram.v")]
    _run(["iverilog", "-g2012", "-o", "four_state.vvp", "-s", "four_state", "-DFOUR_STATE",
          f"-DDEVICE={synthesis.top}", f"-DSCRIPT_WORDS={len(words)}", '-DSCRIPT="script.hex"',
          *sources, *(str(path.resolve()) for path in synthesis.sources)], folder)
    told = _run(["vvp", "-n", "four_state.vvp"], folder)
    (folder / "four_state.log").write_text(told)
    found = _PASS.search(told)
    if found is None:
        reason = (told.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{config.name}: the netlist differs in four states: {reason}")
    sent, compared, cycles = map(int, found.groups())
    return {"simulator": "icarus", "samples": len(spikes), "bytes_sent": sent,
            "bytes_compared": compared, "cycles": cycles}


def _run(command: list[str], folder: pathlib.Path) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode:
        first = next((line for line in done.stdout.splitlines() if "error" in line.lower()),
                     "no message")
        raise UserError(f"{command[0]} failed: {first}")
    return done.stdout
