"""Accuracy over many chips: each mode of the memory tiers, on the same samples."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import pathlib
import re
import shutil
from collections.abc import Sequence

import numpy as np

from lamina.flows.progress import Reporter
from lamina.flows.study.modes import with_modes
from lamina.flows.workspace import replaced_file, replaced_folder
from lamina.models.chips import Chips
from lamina.models.faults import FaultModel
from lamina.models.program import Program
from lamina.models.voltage import can_fail

__all__ = ["Accuracies", "monte_carlo"]

_BATCH_CHIPS = 20
"""Chips between two points from which an interrupted study goes on."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Accuracies:
    """Accuracy of one mode on every chip.

    Parameters
    ----------
    mode : str
    fill : str
        What gated tiers read as.
    values : float array (chips,)
        Share of right predictions; all equal where no cell can fail.
    """

    mode: str
    fill: str
    values: np.ndarray

    @property
    def mean(self) -> float:
        """Over the chips."""
        return float(self.values.mean())

    @property
    def low(self) -> float:
        """Of the worst chip."""
        return float(self.values.min())

    @property
    def high(self) -> float:
        """Of the best chip."""
        return float(self.values.max())

    def percentile(self, share: float) -> float:
        """What `share`, 0..100, of the chips do not exceed."""
        return float(np.percentile(self.values, share))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Batch:
    """Chips `first` .. of one mode; `folder` holds the job, `path` will hold their accuracies."""

    folder: pathlib.Path
    path: pathlib.Path
    mode: str
    first: int
    count: int


class _Packed:
    """Spikes (N, T, axons), eight to the byte until a slice of samples is taken."""

    def __init__(self, packed: np.ndarray, axons: int):
        self._packed, self._axons = packed, axons

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.unpackbits(self._packed[rows], axis=2, count=self._axons)


def monte_carlo(program: Program, modes: Sequence[str], spikes: np.ndarray, labels: np.ndarray,
                folder: pathlib.Path, *, lanes: int, tiers: tuple[int, ...], chips: int = 1000,
                fill: str = "mid", kind: str = "flip", workers: int = 2,
                progress: Reporter | None = None) -> tuple[Accuracies, ...]:
    """Accuracy of `program` in each of `modes` on chips 0 .. `chips` - 1.

    Batches of chips are kept in `folder` as they are finished, by content: a study that was
    stopped goes on, and one of more chips or modes takes what is there.

    Parameters
    ----------
    program : Program
        As it was compiled for nominal voltages.
    modes : sequence of str
        As ``--tier-modes`` takes them.
    spikes : uint8 array (N, T, axons)
    labels : int array (N,)
    folder : pathlib.Path
    lanes : int
        Of the core: where a weight lies decides which cells hold it.
    tiers : tuple of int
        Bits of each memory tier, most significant first.
    chips : int
        At least 1.
    fill : str
        ``mid`` or ``zero``.
    kind : str
        ``flip`` or ``stuck``.
    workers : int
        Processes.
    progress : callable, optional
        Called with chips done and chips, over all modes.

    Raises
    ------
    UserError
        If a mode is wrong.
    ValueError
        If `labels` and `spikes` differ in length.
    """
    if len(labels) != len(spikes):
        raise ValueError(f"labels must be one per sample, {len(spikes)}, not {len(labels)}")
    counts = {mode: chips if can_fail(with_modes(program, mode, tiers, fill), len(tiers)) else 1
              for mode in modes}
    job = _job(folder, program, spikes, labels,
               {"lanes": lanes, "tiers": tiers, "fill": fill, "kind": kind})
    batches = [_batch(job, mode, first, count) for mode, count in counts.items()
               for first in range(0, count, _BATCH_CHIPS)]
    _run(batches, workers, progress)
    found = {mode: np.concatenate([_accuracies(batch)[:counts[mode] - batch.first]
                                   for batch in batches if batch.mode == mode]) for mode in counts}
    return tuple(Accuracies(mode=mode, fill=fill, values=np.resize(found[mode], chips))
                 for mode in modes)


def _job(folder: pathlib.Path, program: Program, spikes: np.ndarray, labels: np.ndarray,
         settings: dict) -> pathlib.Path:
    """Folder of a study, named by its content."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = np.packbits(spikes, axis=2)
    draft = folder / "draft"
    with replaced_folder(draft) as partial:
        program.save(partial)
        np.save(partial / "spikes.npy", packed)
        np.save(partial / "labels.npy", labels)
        (partial / "study.json").write_text(json.dumps(settings, sort_keys=True))
    digest = hashlib.sha256()
    for path in sorted(draft.iterdir()):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    job = folder / digest.hexdigest()[:16]
    if job.exists():
        shutil.rmtree(draft)
    else:
        draft.rename(job)
    return job


def _batch(job: pathlib.Path, mode: str, first: int, count: int) -> _Batch:
    """Always of as many chips, so that a longer study finds it; a mode of one chip has one."""
    size = 1 if count == 1 else _BATCH_CHIPS
    slug = re.sub(r"[^\w.-]+", "_", mode)
    return _Batch(folder=job, path=job / f"chips-{slug}-{first}-{size}.npz", mode=mode, first=first,
                  count=size)


def _run(batches: list[_Batch], workers: int, progress: Reporter | None) -> None:
    """Have the batches run that are not there yet, in processes of their own."""
    left = [batch for batch in batches if not batch.path.exists()]
    total = sum(batch.count for batch in batches)
    done = total - sum(batch.count for batch in left)
    if not left:
        return
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(min(workers, len(left)), mp_context=context)
    try:
        for future in concurrent.futures.as_completed([pool.submit(_finish, batch)
                                                       for batch in left]):
            done += future.result()
            if progress is not None:
                progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _finish(batch: _Batch) -> int:
    """Write the accuracies of a batch; returns its chips."""
    chips, spikes, labels, kind = _prepared(batch.folder, batch.mode)
    faults = [FaultModel(kind=kind, chip=batch.first + number) for number in range(batch.count)]
    right = chips.predict(spikes, faults) == labels
    with replaced_file(batch.path) as partial, partial.open("wb") as stream:
        np.savez(stream, accuracies=right.mean(axis=1))
    return batch.count


@functools.lru_cache(maxsize=2)
def _prepared(folder: pathlib.Path, mode: str) -> tuple[Chips, _Packed, np.ndarray, str]:
    """Program in its mode, samples, labels and kind of faults; once per process and mode."""
    settings = json.loads((folder / "study.json").read_text())
    program, tiers = Program.load(folder), tuple(settings["tiers"])
    program = with_modes(program, mode, tiers, settings["fill"])
    spikes = _Packed(np.load(folder / "spikes.npy", mmap_mode="r"), program.axons)
    return (Chips(program, settings["lanes"], tiers), spikes, np.load(folder / "labels.npy"),
            settings["kind"])


def _accuracies(batch: _Batch) -> np.ndarray:
    with np.load(batch.path) as arrays:
        return arrays["accuracies"]
