"""The options of ``lamina adders``."""

from __future__ import annotations

import argparse
import math
import pathlib

__all__ = ["add_options"]


def _integer(low: int, high: int):
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be in {low}..{high}, not {text}")
        return int(text)
    return parse


def _positive_or_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, not {text}")
    return value


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
        help="folder of the results (default out/adders); of --evolve the file NAME.net")
    add("--native-tools", action="store_true", help="Yosys of the machine")
    group = parser.add_argument_group("evolution")
    group.add_argument("--evolve", type=_integer(1, 8), metavar="K",
                       help="evolve a low part of K bits for the weights of --net")
    group.add_argument("--wce", type=_integer(0, 1024), metavar="W",
                       help="largest error [LSB] (default 2**(K-1))")
    group.add_argument("--bias", type=_positive_or_zero, metavar="B",
                       help="largest mean error [LSB] on the weights (default 0.25)")
    group.add_argument("--spread", type=_positive_or_zero, metavar="S",
                       help="largest standard deviation of the error [LSB] (default: any)")
    group.add_argument("--additions", type=_integer(1, 1024), metavar="N",
                       help="bias and spread of the sums of N additions, per addition (default 1)")
    group.add_argument("--cost", choices=("energy", "area"),
                       help="what is made small (default energy)")
    group.add_argument("--generations", type=_integer(1, 10 ** 9), metavar="N",
                       help="default 20000")
