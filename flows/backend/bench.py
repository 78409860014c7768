"""A bench in plain Verilog: vectors of a golden run and the module that replays them."""

from __future__ import annotations

import dataclasses
import importlib.resources
import pathlib
import shutil
from collections.abc import Iterator

import jinja2
import numpy as np

from lamina.flows.errors import UserError
from lamina.models.config import EventKind, HardwareConfig, Space, StateRegion
from lamina.models.image import memory_image
from lamina.models.network import run
from lamina.models.placement import place
from lamina.models.program import Program
from lamina.models.trace import Trace

__all__ = ["expected_outputs", "random_spikes", "steps", "write_bench"]

_WRITE, _CHECK, _EVENT, _WAIT = 1, 2, 3, 4
_SPIKE_BITS = 2
_TIMEOUT = 1 << 20
"""Longest time for one step of the bench [cycle]."""


def write_bench(program: Program, config: HardwareConfig, folder: pathlib.Path, *,
                spikes: np.ndarray | None = None, seed: int = 0) -> None:
    """Write ``NAME_tb.v``, ``NAME_steps.hex`` and ``NAME_expected.hex`` into `folder`.

    Every layer reports in the bench, and every membrane is read back after each sample. A SPRAM
    bank brings its simulation model along.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
    folder : pathlib.Path
    spikes : uint8 array (N, T, axons), optional
        Random ones of one sample unless given.
    seed : int
        Of the random spikes.

    Raises
    ------
    UserError
        If the program does not fit, or `spikes` has another shape.
    """
    program = _all_reporting(program)
    if spikes is None:
        spikes = random_spikes(program, seed)
    if spikes.ndim != 3 or spikes.shape[1:] != (program.timesteps, program.axons):
        raise UserError(f"bench spikes must be shaped (N, {program.timesteps}, {program.axons}), "
                        f"not {spikes.shape}")
    trace = run(program, spikes, config.tiers, trace=True)
    try:
        stimulus = list(steps(program, config, spikes, trace))
    except ValueError as error:
        raise UserError(str(error)) from error
    outputs = list(expected_outputs(program, config, trace))
    _write_hex(folder / f"{config.name}_steps.hex", stimulus, 15)
    _write_hex(folder / f"{config.name}_expected.hex", outputs, 8)
    text = _render(config, len(stimulus), len(outputs))
    (folder / f"{config.name}_tb.v").write_text(text)
    if config.bank == "spram":
        model = importlib.resources.files("lamina.tb") / "sb_spram256ka.v"
        shutil.copyfile(str(model), folder / "sb_spram256ka.v")


def random_spikes(program: Program, seed: int) -> np.ndarray:
    """Spikes of one sample, uint8 (1, T, axons), one in eight set, the same on all machines."""
    count = program.timesteps * program.axons
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, 8, count) == 0
    return drawn.astype(np.uint8).reshape(1, program.timesteps, program.axons)


def steps(program: Program, config: HardwareConfig, spikes: np.ndarray,
          trace: Trace) -> Iterator[int]:
    """What the bench does, 60 bits each: load, then per sample events, read-back and CLEAR.

    Raises
    ------
    ValueError
        If `program` does not fit `config`.
    """
    for space, address, words in memory_image(program, config):
        for offset, word in enumerate(words.tolist()):
            yield _step(_WRITE, space, address + offset, data=word)
    lines = place(program, config.lanes, len(config.tiers)).input_axons
    for sample, frames in enumerate(spikes):
        for frame in frames:
            for axon in np.sort(lines[np.flatnonzero(frame)]).tolist():
                yield _step(_EVENT, 0, axon, data=EventKind.SPIKE)
            yield _step(_EVENT, 0, 0, data=EventKind.TICK)
        yield _step(_WAIT, 0, 0)
        yield from _membrane_checks(program, config, trace, sample)
        yield _step(_EVENT, 0, 0, data=EventKind.CLEAR)
        yield _step(_WAIT, 0, 0)


def expected_outputs(program: Program, config: HardwareConfig, trace: Trace) -> Iterator[int]:
    """Output payloads in order: each layer's spikes ascending, a TICK per timestep, a CLEAR."""
    placed = place(program, config.lanes, len(config.tiers)).layers
    samples, timesteps = trace.layer_spikes[0].shape[:2]
    for sample in range(samples):
        for timestep in range(timesteps):
            for where, layer in zip(placed, trace.layer_spikes, strict=True):
                for unit in np.sort(where.units[np.flatnonzero(layer[sample, timestep])]).tolist():
                    yield EventKind.SPIKE | unit << _SPIKE_BITS
            yield int(EventKind.TICK)
        yield int(EventKind.CLEAR)


def _all_reporting(program: Program) -> Program:
    layers = tuple(dataclasses.replace(layer, report=True) for layer in program.layers)
    return dataclasses.replace(program, layers=layers)


def _step(what: int, space: int, address: int, *, mask: int = 0, data: int = 0) -> int:
    return what << 56 | int(space) << 52 | address << 32 | mask << 16 | int(data)


def _membrane_checks(program: Program, config: HardwareConfig, trace: Trace,
                     sample: int) -> Iterator[int]:
    """Read requests for every membrane; only the bits of the state store are compared."""
    first = StateRegion.MEMBRANE * config.groups * config.lanes
    placement = place(program, config.lanes, len(config.tiers))
    for layer, placed in zip(trace.final_membranes, placement.layers, strict=True):
        for unit, value in zip(placed.units.tolist(), layer[sample].tolist(), strict=True):
            slot = first + unit
            for chunk in range(config.slot_chunks):
                bits = min(16, config.state_bits - 16 * chunk)
                if bits > 0:
                    mask = (1 << bits) - 1
                    yield _step(_CHECK, Space.STATE, slot * config.slot_chunks + chunk,
                                mask=mask, data=value >> 16 * chunk & mask)


def _write_hex(path: pathlib.Path, words: list[int], digits: int) -> None:
    path.write_text("".join(f"{word:0{digits}x}\n" for word in words))


def _render(config: HardwareConfig, steps_count: int, expected_count: int) -> str:
    template = importlib.resources.files("lamina.flows.backend") / "core_bench.v"
    environment = jinja2.Environment(
        variable_start_string="[[", variable_end_string="]]", undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True, autoescape=False)
    name, axon_bits = config.name, (config.axons - 1).bit_length()
    output_bits = _SPIKE_BITS + (config.neurons - 1).bit_length()
    sources = [f"{name}_core.v", f"{name}_tb.v"]
    if config.bank == "spram":
        sources.append("sb_spram256ka.v")
    return environment.from_string(template.read_text()).render(
        core=f"{name}_core", bench=f"{name}_tb", sources=" ".join(sources),
        steps=steps_count, expected=expected_count, timeout=_TIMEOUT,
        steps_file=f"{name}_steps.hex", expected_file=f"{name}_expected.hex",
        event_vector=f"[{_SPIKE_BITS + axon_bits - 1}:0]", axon_slice=f"[{31 + axon_bits}:32]",
        output_vector=f"[{output_bits - 1}:0]", padding=32 - output_bits)
