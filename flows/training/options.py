"""The options of ``lamina train``."""

from __future__ import annotations

import argparse
import pathlib

__all__ = ["add_convert_options", "add_options"]


def _numbers(kind: type):
    def parse(text: str) -> tuple:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be numbers with commas, not {text}") from None
    return parse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options on `parser`."""
    add = parser.add_argument
    add("architecture", metavar="ARCH",
        help="784-256-256-10, 2x34x34-12c5s2p1-24c3s2p1-10; 256r hears itself, p2 pools")
    add("--data", required=True, help="as for the other commands; with a training split")
    add("-o", "--out", metavar="NET.nir", type=pathlib.Path, required=True)
    add("--weights", help="1..8, 16, binary or ternary (default 8)")
    add("--reset", metavar="RULE", help="value, subtract (default), subtract-delayed or "
                                        "subtract-rederived")
    for name, kind, text in (
            ("timesteps", int, "T per sample (default 10)"),
            ("decay", int, "D of the leak v * D / 256 (default 192)"),
            ("epochs", int, "passes over the training split (default 16)"),
            ("batch", int, "samples per step (default 128)"),
            ("rate", float, "peak learning rate (default 0.004)"),
            ("spike-penalty", float, "price of hidden spikes (default 0)"),
            ("shift", int, "augmentation: move by up to so many units (default 1)"),
            ("drop", float, "augmentation: share of input spikes left out (default 0)"),
            ("dropout", float, "share of the last hidden layer left out (default 0)"),
            ("samples", int, "of the training split (default all)"),
            ("seed", int, "of weights, order and spikes (default 0)")):
        add(f"--{name}", type=kind, metavar="N" if kind is int else "X", help=text)
    add("--bit-errors", type=_numbers(float), metavar="P,P,...",
        help="probability of a flipped weight bit, by tier")
    add("--tiers", type=_numbers(int), metavar="N,N,...", help="bits by tier (default 2,2,2,2)")
    add("--threads", type=int, default=1, metavar="N", help="of torch; results depend on it")
    add("--no-resume", action="store_true", help="begin anew although there is a checkpoint")
    add("--bins", type=int, metavar="N", help="frames of a recording (default: --timesteps)")
    add("--counts", choices=("clip", "refuse"), help="events above one per frame (default clip)")


def add_convert_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``lamina convert`` on `parser`."""
    add = parser.add_argument
    add("ann", metavar="ANN.onnx", type=pathlib.Path, help="a feed-forward ReLU network")
    add("--data", required=True, help="images to balance thresholds with: their training split")
    add("-o", "--out", metavar="NET.nir", type=pathlib.Path, required=True)
    add("--timesteps", type=int, default=32, metavar="T", help="per sample (default 32)")
    add("--percentile", type=float, default=99.9, metavar="P",
        help="activations above it saturate (default 99.9)")
    add("--encoder", choices=("rate", "bernoulli"), default="rate")
    add("--samples", type=int, default=1000, metavar="N", help="images to balance with")
