"""What a configuration loses on sampled chips, and what it costs: the real evaluation."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib

import numpy as np

from lamina.flows.frontend.adders import compensated
from lamina.flows.search.energy import CALIBRATIONS, relative_energy
from lamina.flows.search.space import Configuration
from lamina.flows.workspace import replaced_folder
from lamina.models.decoder import decode
from lamina.models.faults import FaultModel, faulty_program
from lamina.models.network import run
from lamina.models.program import Program
from lamina.models.voltage import can_fail

__all__ = ["Evaluation", "Setup", "built", "evaluate"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of one configuration.

    Parameters
    ----------
    adders, modes : tuple of str
        The configuration.
    accuracies : tuple of float
        Of each chip, 0..1.
    energy : float
        Relative to the exact network at nominal voltages.
    """

    adders: tuple[str, ...]
    modes: tuple[str, ...]
    accuracies: tuple[float, ...]
    energy: float

    @property
    def configuration(self) -> Configuration:
        """What was evaluated."""
        return Configuration(self.adders, self.modes)

    @property
    def accuracy(self) -> float:
        """Mean over the chips."""
        return float(np.mean(self.accuracies))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """Everything that an evaluation needs, kept in a folder so that any process can load it.

    Parameters
    ----------
    program : Program
        Exact, at nominal voltages.
    calibration_spikes, spikes : uint8 arrays (N, T, axons)
        For the compensation; for the accuracy.
    labels : int array (N,)
    lanes : int
    tiers : tuple of int
    chips : int
        Chips that a configuration with failing cells is tried on.
    compensate : str
        ``bias``, ``follow`` or ``none``.
    calibration : str
        Key of :data:`lamina.flows.search.energy.CALIBRATIONS`.
    adder_energy : dict of str to float
        See :func:`lamina.flows.search.energy.relative_energy`.
    """

    program: Program
    calibration_spikes: np.ndarray
    spikes: np.ndarray
    labels: np.ndarray
    lanes: int
    tiers: tuple[int, ...]
    chips: int
    compensate: str
    calibration: str
    adder_energy: dict[str, float]

    @functools.cached_property
    def nominal_sops(self) -> float:
        """Of a mean sample of the exact network."""
        return float(run(self.program, self.spikes, self.tiers).sops.sum(axis=0).mean())

    def save(self, folder: pathlib.Path) -> None:
        """Write all of it to `folder`."""
        with replaced_folder(folder) as partial:
            self.program.save(partial)
            np.savez(partial / "samples.npz", calibration=np.packbits(self.calibration_spikes),
                     spikes=np.packbits(self.spikes), labels=self.labels)
            (partial / "setup.json").write_text(json.dumps({
                "lanes": self.lanes, "tiers": self.tiers, "chips": self.chips,
                "compensate": self.compensate, "calibration": self.calibration,
                "adder_energy": self.adder_energy, "shapes": [
                    self.calibration_spikes.shape, self.spikes.shape]}, sort_keys=True))

    @classmethod
    def load(cls, folder: pathlib.Path) -> Setup:
        """Inverse of :meth:`save`."""
        fields = json.loads((folder / "setup.json").read_text())
        shapes = fields.pop("shapes")
        with np.load(folder / "samples.npz") as arrays:
            labels = arrays["labels"]
            trains = [np.unpackbits(arrays[name], count=int(np.prod(shape))).reshape(shape)
                      for name, shape in zip(("calibration", "spikes"), shapes, strict=True)]
        fields["tiers"] = tuple(fields["tiers"])
        return cls(program=Program.load(folder), calibration_spikes=trains[0], spikes=trains[1],
                   labels=labels, **fields)


def built(setup: Setup, configuration: Configuration) -> Program:
    """The program of `configuration`, its mean errors taken back."""
    program = configuration.applied(setup.program, setup.tiers)
    if setup.compensate == "none":
        return program
    return compensated(program, setup.calibration_spikes, setup.tiers,
                       follow=setup.compensate == "follow")


def evaluate(folder: pathlib.Path, configuration: Configuration) -> Evaluation:
    """Run `configuration` on every chip of the setup in `folder`."""
    setup = _loaded(folder)
    program = built(setup, configuration)
    chips = setup.chips if can_fail(program, len(setup.tiers)) else 1
    accuracies, sops = [], []
    for chip in range(chips):
        faulty = faulty_program(program, setup.lanes, setup.tiers, FaultModel(chip=chip))
        trace = run(faulty, setup.spikes, setup.tiers)
        guesses = decode(program.decoding, trace.spikes, trace.membranes)
        accuracies.append(float((guesses == setup.labels).mean()))
        sops.append(trace.sops.mean(axis=1))
    energy = relative_energy(program, np.mean(sops, axis=0), setup.nominal_sops, setup.tiers,
                             CALIBRATIONS[setup.calibration], setup.adder_energy)
    return Evaluation(adders=configuration.adders, modes=configuration.modes,
                      accuracies=tuple(accuracies), energy=energy)


@functools.lru_cache(maxsize=1)
def _loaded(folder: pathlib.Path) -> Setup:
    return Setup.load(folder)
