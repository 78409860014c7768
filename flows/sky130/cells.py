"""Verilog models of standard cells, from what their library says of their logic."""

from __future__ import annotations

from lamina.flows.errors import UserError
from lamina.flows.sky130.liberty import Cell

__all__ = ["cell_models"]

_HEAD = """// Logic of standard cells as their Liberty library describes it; no delays.
/* verilator lint_off DECLFILENAME */
/* verilator lint_off LATCH */
/* verilator tracing_off */
"""


def cell_models(cells: dict[str, Cell]) -> str:
    """Verilog of `cells`: combinational ones, rising-edge flip-flops, latches, clock gates.

    Raises
    ------
    UserError
        If a cell is none of these.
    """
    return _HEAD + "".join(_module(name, cells[name]) for name in sorted(cells))


def _module(name: str, cell: Cell) -> str:
    pins = {pin: found for pin, found in cell.pins.items() if found.direction != "internal"}
    ports = [f"{found.direction} wire {pin}" for pin, found in pins.items()]
    body = (_clock_gate(cell) if cell.is_clock_gate
            else _flip_flop(name, cell) if cell.flip_flop
            else _latch(name, cell) if cell.latch else []) + _outputs(name, cell)
    lines = "".join(f"    {line}\n" for line in body)
    return f"\nmodule {name} ({', '.join(ports)});\n{lines}endmodule\n"


def _outputs(name: str, cell: Cell) -> list[str]:
    lines = []
    for pin, found in cell.pins.items():
        if found.direction != "output" or cell.is_clock_gate:
            continue
        if found.function is None:
            raise UserError(f"cell {name}: no function of {pin} in its library")
        lines.append(f"assign {pin} = {_verilog(found.function)};")
    return lines


def _flip_flop(name: str, cell: Cell) -> list[str]:
    described = cell.flip_flop
    extra = sorted({"clear", "preset"} & set(described))
    if extra or described["clocked_on"] not in cell.pins:
        raise UserError(f"cell {name}: must be a flip-flop of one rising edge, without clear and "
                        "preset")
    state = described["state"]
    return [f"reg {state};", f"wire {described['inverse']} = ~{state};",
            f"always @(posedge {described['clocked_on']}) "
            f"{state} <= {_verilog(described['next_state'])};"]


def _latch(name: str, cell: Cell) -> list[str]:
    described = cell.latch
    # Icarus runs always_latch a hundred times slower than always @*.
    if {"clear", "preset"} & set(described) or described["enable"] not in cell.pins:
        raise UserError(f"cell {name}: must be a latch that is open while its enable is high, "
                        "without clear and preset")
    state = described["state"]
    return [f"reg {state};", f"wire {described['inverse']} = ~{state};",
            f"always @* if ({described['enable']}) {state} = {described['data_in']};"]


def _clock_gate(cell: Cell) -> list[str]:
    """Enable is taken while the clock is low and holds while it is high."""
    (clock,) = (pin for pin, found in cell.pins.items() if found.is_clock)
    (output,) = (pin for pin, found in cell.pins.items() if found.direction == "output")
    enables = " | ".join(pin for pin, found in cell.pins.items()
                         if found.direction == "input" and pin != clock)
    return ["reg open;", f"always @* if (!{clock}) open = {enables};",
            f"assign {output} = {clock} & open;"]


def _verilog(function: str) -> str:
    return {"0": "1'b0", "1": "1'b1"}.get(function, function.replace("!", "~"))
