"""The options of ``lamina adders``."""

from __future__ import annotations

import argparse
import pathlib

__all__ = ["add_options"]


def _integer(low: int, high: int):
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be in {low}..{high}, not {text}")
        return int(text)
    return parse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options on `parser`."""
    add = parser.add_argument
    add("--adders", metavar="A,B,...",
        help="loa:4, 5kb, net:... or @FILE of netlists (default: every family at k = 2..8)")
    add("--net", metavar="NET", type=pathlib.Path,
        help="a .nir file or the folder of a program: its weights (default: uniform, 8 bit)")
    add("--bits", type=_integer(4, 32), default=18, metavar="N", help="of the sum (default 18)")
    add("--operands", choices=("walk", "uniform"), default="walk",
        help="energy of sums, one weight after the other (default), or of unrelated pairs")
    add("--seed", type=_integer(0, (1 << 32) - 1), default=0, metavar="N",
        help="of operands and evolution (default 0)")
    add("-o", "--out", metavar="OUT", type=pathlib.Path,
        help="folder of the results (default out/adders)")
    add("--native-tools", action="store_true", help="Yosys of the machine")
