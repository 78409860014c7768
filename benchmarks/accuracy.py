"""What quantisation costs networks, each on a whole set of samples and at several weight widths.

``python benchmarks/accuracy.py digits`` (or ``mnist``, ``braille``, ``lif``, ``sinabs``, or all)
prints a line per network and width, with the bars that a conversion at 8 bit has to reach.
``python benchmarks/accuracy.py NET.nir --data D`` does the same for any other network.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time

from lamina.flows.designs import TARGETS
from lamina.flows.explore import predict_cycles
from lamina.flows.frontend.compile import Compiled, CompileOptions, compile_network
from lamina.flows.frontend.data import Binning

__all__ = ["Case", "main"]

BOARD = "icebreaker"
COSTED_SAMPLES = 100
SHARED = pathlib.Path(__file__).parent.parent.parent / "shared"
EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"
BARS = "bars at 8 bit: agreement 99 %, output bits 98 %, Jaccard .85; Jaccard .99 at 16 bit"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A network with its samples.

    Parameters
    ----------
    net : pathlib.Path
    options : dict
        Of :class:`lamina.flows.frontend.compile.CompileOptions`; without data: random spikes.
    board : bool
        Whether it is compiled for the icebreaker at up to 8 bit, else for no hardware.
    """

    net: pathlib.Path
    options: dict = dataclasses.field(default_factory=dict)
    board: bool = False


def _nets() -> dict[str, Case]:
    nets = SHARED / "nets"
    recordings = {"data": f"nmnist:{SHARED / 'data' / 'nmnist'}", "counts": "clip",
                  "binning": Binning(seconds=1e-3, bins=310), "calibration_samples": 6}
    zero = {"reset": "value", "refractory": 1}
    braille = {name: Case(net=nets / f"nir_paper_braille_{name}.nir",
                          options=(zero if "zero" in name else {})
                          | {"random_samples": 500, "calibration_samples": 1000})
               for name in ("bias_zero", "bias_zero_subgraph", "nobias_subtract")}
    return {
        "digits": Case(net=EXAMPLES / "digits.nir", options={"data": "digits"}, board=True),
        "mnist": Case(net=EXAMPLES / "mnist_784_128_10.nir", board=True,
                      options={"data": f"mnist:{SHARED / 'data' / 'mnist'}"}),
        **{f"braille_{name}": case for name, case in braille.items()},
        "lif": Case(net=nets / "nir_paper_lif_norse.nir"),
        "sinabs": Case(net=nets / "nir_paper_cnn_sinabs.nir", options=recordings),
    }


def compile_case(case: Case, weight_bits: int) -> tuple[Compiled, float]:
    """The compiled network, and the seconds that it took."""
    start = time.monotonic()
    config = TARGETS[BOARD].config if case.board and weight_bits <= 8 else None
    options = CompileOptions(weight_bits=weight_bits, **case.options)
    return compile_network(case.net, options, config), time.monotonic() - start


def _share(value: float | None) -> str:
    return "      -" if value is None else f"{value:7.2%}"


def show(name: str, compiled: Compiled, seconds: float) -> None:
    """Print the line of one network and width, and one for each layer."""
    program, result = compiled.program, compiled.calibration
    output = result.layers[-1]
    print(f"{name:<26} {program.weight_bits:>2} bit F {program.decay_bits:>2} "
          f"state {program.state_bits:>2} | {result.samples:>5} samples | float "
          f"{_share(result.float_accuracy)} integer {_share(result.integer_accuracy)} | agreement "
          f"{result.agreement:7.2%} bits {output.spike_agreement:7.2%} Jaccard "
          f"{output.jaccard:.4f} | {seconds:.1f} s")
    for loss in result.layers:
        print(f"    {loss.name} ({loss.scale}): Jaccard {loss.jaccard:.4f}, {loss.float_spikes} "
              f"float and {loss.integer_spikes} integer spikes, membranes {loss.membrane_low}.."
              f"{loss.membrane_high}, {loss.saturations} saturated")


def show_cycles(compiled: Compiled) -> None:
    """Print the cycles that the icebreaker's core would take."""
    spikes = compiled.data.encoded(compiled.program, 0, COSTED_SAMPLES)
    cycles = predict_cycles(compiled.program, TARGETS[BOARD].config, spikes)
    print(f"    {len(spikes)} samples on the {BOARD}: {cycles:.0f} cycles per sample")


def main() -> None:
    """Parse the command line and print the figures for every network and width asked for."""
    known = _nets()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", metavar="NET", help=", ".join(known))
    parser.add_argument("--data")
    parser.add_argument("--weight-bits", type=int, nargs="+", default=[8, 16])
    options = parser.parse_args()
    cases = {name: case for name, case in known.items()
             if not options.nets or any(name.startswith(net) for net in options.nets)}
    for net in options.nets:
        if net.endswith(".nir"):
            given = {"data": options.data} if options.data else {}
            cases[pathlib.Path(net).stem] = Case(net=pathlib.Path(net), options=given)
    print(BARS)
    for name, case in cases.items():
        for weight_bits in options.weight_bits:
            compiled, seconds = compile_case(case, weight_bits)
            show(name, compiled, seconds)
            if case.board and weight_bits <= 8:
                show_cycles(compiled)


if __name__ == "__main__":
    main()
