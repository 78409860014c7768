"""The steps of the command line as functions; each goes on from what the one before it left.

>>> import pathlib
>>> from lamina.flows import steps
>>> options = steps.Options(net=pathlib.Path("examples/digits.nir"), data="digits")
>>> steps.compile_network(options).result["quantisation"]["integer_accuracy"]
0.9643652561247216
>>> steps.verify(options).mismatches
0
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shutil

import numpy as np

from lamina.flows import explore as explorer
from lamina.flows import progress
from lamina.flows.adders.energies import relative_energies
from lamina.flows.backend import generate as generator
from lamina.flows.backend import synth as synthesiser
from lamina.flows.backend import verify as verifier
from lamina.flows.backend.board import link_rate
from lamina.flows.check import Verdict, check_network
from lamina.flows.errors import UserError
from lamina.flows.evaluate import evaluate
from lamina.flows.execute import execute, simulating
from lamina.flows.fabric.mapper import (
    AUTO,
    Activity,
    Mapped,
    map_network,
    map_smallest,
    parse_mesh,
    tile_core,
)
from lamina.flows.fabric.plots import draw_mesh
from lamina.flows.fabric.verify import verify_fabric
from lamina.flows.frontend.data import Dataset
from lamina.flows.frontend.nir.writer import write_quantised
from lamina.flows.job import Job, Options, compile_for, load_program, require_fit, resolve
from lamina.flows.report import report as reporter
from lamina.flows.report.energy import Operations, energy_block, measured_block
from lamina.flows.report.neurobench import measurable_samples, measure_neurobench
from lamina.flows.sky130 import chip
from lamina.flows.study import undervolt as studier
from lamina.flows.study.modes import at_nominal, is_nominal
from lamina.flows.study.plots import write_picture
from lamina.flows.tapeout import command as hand_off
from lamina.flows.workspace import replaced_file, replaced_folder, workspace
from lamina.models.adders.spec import AdderSpec
from lamina.models.network import run as run_golden
from lamina.models.program import Program

__all__ = ["Options", "Summary", "check", "compile_network", "flow", "generate", "quantise",
           "report", "run", "synth", "tapeout", "undervolt", "verify"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What a step leaves.

    Parameters
    ----------
    result : dict
        JSON-ready; of :func:`flow` and :func:`report` the whole report.
    path : pathlib.Path
        The file or folder that was written.
    mismatches : int
        Differences between hardware and golden model.
    failures : tuple of str
        What else does not hold: paths that miss the clock of a chip.
    """

    result: dict
    path: pathlib.Path
    mismatches: int = 0
    failures: tuple[str, ...] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and values for a table."""
        return reporter.result_rows(self.result)


def check(options: Options) -> Verdict:
    """Judge a ``.nir`` file without building anything; a refusal is part of the verdict.

    Raises
    ------
    UserError
        If the file cannot be read or an option is wrong by itself.
    """
    job = resolve(options, "check")
    if job.source is None or job.program_folder is not None:
        raise UserError(f"{options.net}: must be a .nir file, it is a program already")
    return check_network(job.source, **options.reader)


def compile_network(options: Options, *, export_nir: pathlib.Path | None = None) -> Summary:
    """Compile a ``.nir`` file to ``OUT/program`` and judge it over the labelled set.

    Parameters
    ----------
    options : Options
    export_nir : pathlib.Path or None
        Where to write the codes as a quantised NIR file.

    Raises
    ------
    UserError
        One line that names what is wrong, as in every step.
    """
    job = resolve(options, "compile")
    if job.program_folder is not None:
        raise UserError(f"{options.net}: must be a .nir file, it is a program already")
    with workspace(job.out, job.settings):
        program = _program(job, again=True)
        if export_nir is not None:
            write_quantised(program, export_nir)
        golden = _golden(job, program)
    result = {"network": reporter.network_block(program), **golden}
    return Summary(result=result, path=job.out / "program")


def quantise(options: Options, *, explore: bool = False, keep: float = 0.1) -> Summary:
    """Compile to ``OUT/program`` and judge; with `explore` at the width that is chosen.

    Parameters
    ----------
    options : Options
    explore : bool
        Try every weight width first; what each one keeps goes to ``OUT/quantise``.
    keep : float
        Points of accuracy that the chosen width may lose, at least 0.
    """
    if not explore:
        return compile_network(options)
    if options.weight_bits is not None:
        raise UserError("--explore tries every width: leave --weight-bits out")
    job = resolve(options, "quantise")
    if job.program_folder is not None:
        raise UserError(f"{options.net}: must be a .nir file, it is a program already")
    with workspace(job.out, job.settings):
        folder = job.out / "quantise"
        result = explorer.explore(job, folder, keep=keep, key=_origin(job))
    chosen = [entry for entry in result["widths"] if entry["weight_bits"] == result["chosen"]]
    if chosen and chosen[0]["fits"]:
        compile_network(dataclasses.replace(options, weight_bits=result["chosen"]))
    return Summary(result=result, path=folder / "explore.json")


def generate(options: Options) -> Summary:
    """Write Verilog, vectors and the bench that needs no Python to ``OUT/design``."""
    job = resolve(options, "generate")
    with workspace(job.out, job.settings):
        program = _program(job)
        files = _generate(job.fitted(program), program)
    return Summary(result={"files": [path.name for path in files]}, path=job.out / "design")


def verify(options: Options) -> Summary:
    """Compare simulated hardware and golden model; ``OUT/verify/verify.json``."""
    if options.on not in (None, "rtl", "netlist"):
        raise UserError(f"--on must be rtl or netlist, not {options.on}")
    job = resolve(options, "verify")
    with workspace(job.out, job.settings):
        program = _program(job)
        if job.on_mesh:
            result = _verify_mesh(job, program)
        elif options.on == "netlist" and not job.target.is_board:
            job = job.fitted(program)
            if _made(job) is None:
                _synth(job)
            result = _gates(job, program)["gates"]
        else:
            result = _verify(job.fitted(program), program)
    return Summary(result=result, path=job.out / "verify", mismatches=result["mismatches"])


def synth(options: Options) -> Summary:
    """Make a bitstream, or the netlist of a chip and its timing, in ``OUT/synth``.

    From ``OUT/design`` or a new one.
    """
    job = resolve(options, "synth")
    with workspace(job.out, job.settings):
        program = _program(job)
        job = job.fitted(program)
        if not _is_generated(job):
            _generate(job, program)
        result = _synth(job)
    return Summary(result=result, path=job.out / "synth" / (result["bitstream"]
                                                            or result["netlist"]),
                   failures=_failures(job, result))


def report(options: Options) -> Summary:
    """Collect what is in ``OUT`` into ``report.json`` and ``report.html``."""
    job = resolve(options, "report")
    with workspace(job.out, job.settings):
        program = _program(job)
        return _report(job if job.on_mesh else job.fitted(program), program)


def flow(options: Options) -> Summary:
    """All steps in turn; on a mesh those that it has: no Verilog for a board, no bitstream."""
    job = resolve(options, "flow")
    with workspace(job.out, job.settings):
        program = _program(job, again=True)
        if job.on_mesh:
            _check_mesh(job, program)
            _golden(job, program)
            _verify_mesh(job, program)
            progress.say("generate and synth are left out: there is no board for a mesh")
            return _report(job, program)
        job = job.fitted(program)
        _golden(job, program)
        _generate(job, program)
        _verify(job, program)
        _synth(job)
        if not job.target.is_board:
            _gates(job, program)
        return _report(job, program)


def tapeout(options: Options, place: str, *, harden: bool = False) -> Summary:
    """Write the submission repository of a shuttle to ``OUT/PLACE``.

    Parameters
    ----------
    options : Options
        ``target``: the process of the place where not given; ``samples``: of the self-test, 2.
    place : str
        One of :data:`lamina.flows.tapeout.command.PLACES`.
    harden : bool
        Then lay it out with LibreLane, where OpenROAD is.
    """
    job = resolve(hand_off.options_for(options, place), "tapeout")
    with workspace(job.out, job.settings):
        result = hand_off.write(job, _program(job), place, hardened=harden)
    return Summary(result=result, path=job.out / place)


def undervolt(options: Options, *, chips: int | None = None,
              volts: tuple[float, ...] | None = None) -> Summary:
    """Accuracy and energy with tiers undervolted and gated; ``OUT/undervolt.json`` and ``.png``.

    Finished chips are kept in ``OUT/undervolt``, so that a study that was stopped goes on.

    Parameters
    ----------
    options : Options
        ``samples``: 1,000 where not given; ``tier_fill``: as the program has it.
    chips : int or None
        20 where not given.
    volts : tuple of float or None
        .60 .. 1.10 [V]; None: those of the papers.
    """
    for name, reason in (("tier_modes", "tries modes of its own"), ("chip", "takes --chips")):
        if getattr(options, name) is not None:
            raise UserError(f"--{name.replace('_', '-')}: undervolt {reason}")
    job = resolve(dataclasses.replace(options, samples=None, tier_fill=None), "undervolt")
    if job.options.data is None:
        raise UserError("--data must name labelled samples: a study needs their accuracy")
    modes = studier.modes_of(len(job.target.config.tiers), volts or studier.VOLTS)
    with workspace(job.out, job.settings):
        program = _program(job)
        result = _undervolt(job.fitted(program), program, options, chips or studier.CHIPS, modes)
    return Summary(result=result, path=job.out / "undervolt.png")


def run(options: Options, *, trace: bool = False) -> Summary:
    """Run one executor (``options.on``) and write its trace to the file ``options.out``.

    The arrays are ``spikes membranes predictions labels`` (docs/report.md); with `trace` every
    layer's as well.
    """
    on = options.on or "golden"
    job = resolve(options, "run")
    out = options.out or pathlib.Path("out") / f"{job.name}-{on.replace('/', '-').strip('-')}.npz"
    arrays = execute(job, on, trace=trace)
    with replaced_file(out) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)
    labels, predictions = arrays["labels"], arrays["predictions"]
    accuracy = float((labels == predictions).mean()) if (labels >= 0).all() else None
    result = {"executor": on, "samples": len(predictions), "accuracy": accuracy,
              "output_spikes": int(arrays["spikes"].sum(dtype=np.int64))}
    return Summary(result=result, path=out)


def _program(job: Job, *, again: bool = False) -> Program:
    """The program of `job`, in ``OUT/program``; compiled or copied there when it is not.

    What an earlier step compiled of the same file with the same settings is taken, unless `again`.
    """
    folder = job.out / "program"
    if job.program_folder is None:
        kept = _kept(folder / "origin.json", _origin(job))
        return load_program(folder) if kept is not None and not again else _compile(job, folder)
    program = load_program(job.program_folder)
    require_fit(program, job)
    if folder.resolve() != job.program_folder.resolve():
        with replaced_folder(folder) as partial:
            shutil.copytree(job.program_folder, partial, dirs_exist_ok=True)
    return program


def _compile(job: Job, folder: pathlib.Path) -> Program:
    with progress.step(f"compiling {job.source}"):
        compiled = compile_for(job, job.target.config)
    for name, text in compiled.program.assumptions.items():
        progress.say(f"  {name}: {text}")
    with replaced_folder(folder) as partial:
        compiled.program.save(partial)
        _write_json(partial / "calibration.json",
                    {"key": _data_key(job), **compiled.calibration.to_dict()})
        _write_json(partial / "origin.json", {"key": _origin(job)})
    return compiled.program


def _origin(job: Job) -> dict:
    """What the program depends on."""
    settings = {name: value for name, value in job.settings.items()
                if name not in ("samples", "chip", "calibration")}
    net = hashlib.sha256(job.source.read_bytes()).hexdigest()
    return {**settings, **_data_key(job), "net": net, "config": job.target.config.fingerprint}


def _data_key(job: Job) -> dict:
    """What the samples depend on besides the program."""
    random = {"samples": job.samples, "seed": job.options.seed}
    reading = job.options.reading
    return {"data": job.options.data or random, **reading,
            "binning": dataclasses.asdict(reading["binning"])}


def _golden(job: Job, program: Program) -> dict:
    """Blocks ``golden`` and ``quantisation``; kept in ``OUT/golden`` for program and data."""
    faults = job.fault_note(program)
    key = {"program": _digest(job.out / "program"), "faults": faults, **_data_key(job)}
    kept = _kept(job.out / "golden" / "golden.json", key)
    if kept is not None and "operations" in kept:
        return kept
    data, tiers = job.data(program), job.target.config.tiers
    seen = job.faulty(program)
    with progress.step(f"running {len(data)} samples in the golden model") as bar:
        found = evaluate(seen, data, tiers, progress=bar)
    measured = data.encoded(program, 0, measurable_samples(program))
    accuracy = found.golden["accuracy"]
    blocks = {"golden": found.golden, "quantisation": _quantisation(job, program, accuracy),
              "neurobench": measure_neurobench(program, measured, tiers, accuracy, seen),
              "operations": {"by_layer": found.sops.tolist(), "samples": len(data),
                             "nominal": float(found.sops.sum()) if is_nominal(program)
                             else _nominal_sops(program, data, tiers)}}
    arrays = {"sample": found.sample}
    if data.labels is not None:
        arrays |= {"confusion": found.confusion, "label": data.labels[0]}
    with replaced_folder(job.out / "golden") as partial:
        np.savez(partial / "golden.npz", **arrays)
        _write_json(partial / "golden.json", {"key": key, **blocks})
    return blocks


def _nominal_sops(program: Program, data: Dataset, tiers: tuple[int, ...]) -> float:
    """Synaptic operations of a mean sample with exact adders and nominal voltages."""
    return float(evaluate(at_nominal(program), data, tiers).sops.sum())


def _quantisation(job: Job, program: Program, accuracy: float | None) -> dict:
    """The report's block; what only the float network knows is null for a bare program."""
    calibration = _calibration(job) or {}
    faults = job.fault_note(program)
    return {"weight_bits": program.weight_bits, "state_bits": program.state_bits,
            "acc_bits": program.acc_bits, "tiers": list(job.target.config.tiers),
            "float_accuracy": calibration.get("float_accuracy"), "integer_accuracy": accuracy,
            "agreement": calibration.get("agreement"), "layers": calibration.get("layers"),
            "first_disagreement": calibration.get("first_disagreement"),
            **({} if faults is None else {"faults": faults})}


def _calibration(job: Job) -> dict | None:
    """What quantisation cost, if it was measured on the data of `job`."""
    return _kept(job.out / "program" / "calibration.json", _data_key(job))


def _generate(job: Job, program: Program) -> list[pathlib.Path]:
    sample = job.data(program).encoded(program, 0, 1)
    with progress.step(f"generating Verilog for {job.target.name}"):
        return generator.generate(job.target.config, job.target, job.out / "design",
                                  program=program, spikes=sample,
                                  native=job.options.native_tools, notice=progress.say)


def _is_generated(job: Job) -> bool:
    names = generator.design_names(job.target.config, job.target)
    config = job.out / "design" / "config.json"
    top = names["board" if job.target.is_board else "chip"]
    return ((job.out / "design" / f"{top}.v").is_file()
            and config.read_text() == job.target.config.to_json() + "\n")


def _verify(job: Job, program: Program) -> dict:
    data, folder = job.data(program), job.out / "verify"
    on = job.options.on or "rtl"
    samples = min(job.samples, len(data))
    labels = None if data.labels is None else data.labels[:samples]
    folder.mkdir(exist_ok=True)
    with simulating(), progress.step(f"simulating {samples} samples on the {on}") as bar:
        result = verifier.verify(program, job.target.config, data.encoded(program, 0, samples),
                                 labels, folder, workers=job.options.workers,
                                 scheduler=job.options.scheduler,
                                 waves=job.options.waves, netlist=on == "netlist",
                                 faults=job.faults(program), progress=bar, notice=progress.say)
    faults = job.fault_note(program)
    result |= {} if faults is None else {"faults": faults}
    with replaced_file(folder / "verify.json") as partial:
        _write_json(partial, {"key": _verify_key(job, program), **result})
    return result


def _verify_mesh(job: Job, program: Program) -> dict:
    """Divide the network over tiles, compare, and draw what they do."""
    _check_mesh(job, program)
    data, folder, target = job.data(program), job.out / "verify", job.target
    samples = min(job.samples, len(data))
    spikes = data.encoded(program, 0, samples)
    with progress.step("placing neurons on tiles"):
        mapped = _mapped(job, program, spikes)
    core = tile_core(mapped.fabric, target.tile, target.most)
    labels = None if data.labels is None else data.labels[:samples]
    folder.mkdir(exist_ok=True)
    size = "x".join(map(str, mapped.fabric.mesh.size))
    with simulating(), progress.step(f"simulating {samples} samples on {size} tiles") as bar:
        result = verify_fabric(mapped, core, spikes, labels, folder, workers=job.options.workers,
                               scheduler=job.options.scheduler, progress=bar,
                               notice=progress.say)
    with replaced_file(folder / "verify.json") as partial:
        _write_json(partial, {"key": _mesh_key(job), **result})
    with replaced_file(folder / "mesh.png") as partial, partial.open("wb") as stream:
        draw_mesh(result["mesh"], stream)
    return result


def _check_mesh(job: Job, program: Program) -> None:
    """Refuse what one core alone can do."""
    if job.options.on not in (None, "rtl") or job.options.waves:
        raise UserError("--mesh: a fabric is simulated on the rtl, without waves")
    if job.faults(program) is not None:
        raise UserError(f"--mesh {job.options.mesh}: tiles keep their nominal voltages or are "
                        f"gated; cells that fail are simulated on one core")


def _mesh_key(job: Job) -> dict:
    """What a verification on a mesh depends on."""
    mesh, faults, divided = job.options.mesh, job.mesh_faults, job.mesh_chips
    return {"program": _digest(job.out / "program"),
            "mesh": mesh if mesh == AUTO else list(parse_mesh(mesh)),
            **({"chips": list(divided["chips"]), "link_bits": job.mesh_config.link_bits}
               if divided else {}),
            "tile": job.target.tile.fingerprint,
            "dead": [sorted(faults.links), sorted(faults.tiles)] if faults else None}


def _mapped(job: Job, program: Program, spikes: np.ndarray) -> Mapped:
    target, seed = job.target, job.options.seed or 0
    activity = Activity.measured(program, spikes, target.config.tiers)
    if job.options.mesh == AUTO:
        return map_smallest(program, target.tile, target.most, activity, seed=seed)
    return map_network(program, job.mesh_config, target.tile, activity, target.most, seed=seed,
                       faults=job.mesh_faults)


def _verify_key(job: Job, program: Program) -> dict:
    return {"program": _digest(job.out / "program"), "config": job.target.config.fingerprint,
            "faults": job.fault_note(program)}


def _synth(job: Job) -> dict:
    result = _board(job) if job.target.is_board else _chip(job)
    with replaced_file(job.out / "synth" / "synth.json") as partial:
        _write_json(partial, {"key": _synth_key(job), **result})
    return result


def _board(job: Job) -> dict:
    """Bitstream for the board of `job`."""
    with progress.step(f"synthesising for {job.target.name}") as bar:
        result = synthesiser.synthesise(
            job.out / "design", job.target, job.out / "synth", seed=_placement_seed(job),
            native=job.options.native_tools, progress=bar, notice=progress.say)
    if result["fmax_mhz"] < result["clock_mhz"]:
        progress.say(f"warning: routed for {result['fmax_mhz']:.1f} MHz, but {job.target.name} "
                     f"supplies {result['clock_mhz']:g} MHz: another --seed may do better")
    return result


def _chip(job: Job) -> dict:
    """Netlist and timing for the process of `job`."""
    with progress.step(f"mapping to {job.target.name}"):
        result = chip.chip_metrics(job.target.config, job.target, job.out / "synth",
                                   native=job.options.native_tools, notice=progress.say)
    for failure in chip.failing(result):
        progress.say(failure)
    return result


def _gates(job: Job, program: Program) -> dict:
    """Run the mapped device on some samples, compare and weigh; ``OUT/verify/gates.json``."""
    data, folder, config = job.data(program), job.out / "verify", job.target.config
    samples = min(job.samples, len(data))
    labels = None if data.labels is None else data.labels[:samples]
    if job.faults(program) is not None:
        raise UserError(f"{job.target.name}: gates are simulated at nominal voltages or gated "
                        "tiers: cells that fail are simulated on the rtl")
    folder.mkdir(exist_ok=True)
    with simulating(), progress.step(f"simulating {samples} samples on the netlist"):
        result = chip.simulate_gates(
            program, config, job.target, data.encoded(program, 0, samples), labels,
            chip.mapped(job.out / "synth", config), folder / "gates", notice=progress.say)
    with replaced_file(folder / "gates.json") as partial:
        _write_json(partial, {"key": _verify_key(job, program), **result})
    return result


def _made(job: Job) -> dict | None:
    """What the last synthesis left, if it was of this core for this target."""
    return _kept(job.out / "synth" / "synth.json", _synth_key(job))


def _failures(job: Job, made: dict | None) -> tuple[str, ...]:
    return () if made is None or job.target.is_board else tuple(chip.failing(made))


def _synth_key(job: Job) -> dict:
    return {"target": job.target.name, "config": job.target.config.fingerprint}


def _placement_seed(job: Job) -> int:
    return 1 if job.options.seed is None else job.options.seed


def _report(job: Job, program: Program) -> Summary:
    golden = _golden(job, program)
    config = job.target.config
    with np.load(job.out / "golden" / "golden.npz") as arrays:
        kept = dict(arrays)
    key = _mesh_key(job) if job.on_mesh else _verify_key(job, program)
    verified = _kept(job.out / "verify" / "verify.json", key)
    made = None if job.on_mesh else _made(job)
    gates = None if made is None or job.target.is_board else _kept(
        job.out / "verify" / "gates.json", key)
    if made is not None:
        made |= _link(job, program, made, gates, kept["sample"])
    result = reporter.build_report(program, quantisation=golden["quantisation"],
                                   golden=golden["golden"], verify=verified, synth=made,
                                   neurobench=golden.get("neurobench"),
                                   energy=_energy(job, program, golden["operations"], gates))
    page = reporter.render_html(
        result, program, None if job.on_mesh else config, sample=kept["sample"],
        target=f"a mesh of cores for the {job.target.name}" if job.on_mesh else job.target.name,
        trace=run_golden(job.faulty(program), kept["sample"][None], config.tiers, trace=True),
        calibration=_calibration(job),
        undervolted=_kept(job.out / "undervolt.json", _study_key(job)),
        front=_front(job, program),
        label=int(kept["label"]) if "label" in kept else None, confusion=kept.get("confusion"))
    _write_text(job.out / "report.json", reporter.report_text(result))
    _write_text(job.out / "report.html", page)
    compared = (verified, (gates or {}).get("gates"))
    wrong = sum((each or {}).get("mismatches", 0) for each in compared)
    return Summary(result=result, path=job.out / "report.html", mismatches=wrong,
                   failures=_failures(job, made))


def _link(job: Job, program: Program, made: dict, gates: dict | None, sample: np.ndarray) -> dict:
    """Rate over the host link: of a serial port, or of a chip whose link is never kept waiting."""
    if job.target.is_board:
        rate = link_rate(program, job.target.config, sample, job.target.baud)
        return {"bitstream": f"synth/{made['bitstream']}", "link_images_per_second": rate}
    energy = (gates or {}).get("energy")
    clock = made["fmax_mhz"] or made["clock_mhz"]
    return {"netlist": f"synth/{made['netlist']}", "gates": gates and gates["gates"],
            "link_images_per_second": energy and round(1e6 * clock / energy["all_cycles"], 1)}


def _undervolt(job: Job, program: Program, options: Options, chips: int,
               modes: tuple[studier.Mode, ...]) -> dict:
    data, config = job.data(program), job.target.config
    if data.labels is None:
        raise UserError(f"{job.options.data}: a study needs labels, there are none")
    samples = min(options.samples or studier.SAMPLES, len(data))
    with progress.step(f"running {samples} samples on {chips} chips in every mode") as bar:
        result = studier.undervolt(
            program, data.encoded(program, 0, samples), data.labels[:samples],
            job.out / "undervolt", lanes=config.lanes, tiers=config.tiers, modes=modes,
            chips=chips, fill=options.tier_fill, calibration=job.calibration.name,
            adder_energy=_adder_energy(job, program), workers=job.options.workers, progress=bar)
    with replaced_file(job.out / "undervolt.json") as partial:
        _write_json(partial, {"key": _study_key(job), **result})
    with replaced_file(job.out / "undervolt.png") as partial, partial.open("wb") as stream:
        write_picture([result], stream)
    return result


def _study_key(job: Job) -> dict:
    return {"program": _digest(job.out / "program"), **_data_key(job)}


def _energy(job: Job, program: Program, operations: dict, gates: dict | None = None
            ) -> dict | None:
    """The report's block, measured where there are `gates`; None where no spike meets a weight."""
    if not operations["nominal"]:
        return None
    counts = Operations(by_layer=tuple(operations["by_layer"]), nominal=operations["nominal"],
                        samples=operations["samples"])
    block = energy_block(program, counts, job.target.config.tiers, job.calibration,
                         _adder_energy(job, program))
    return block if gates is None or gates["energy"] is None else measured_block(
        block, gates["energy"], gates["gates"]["samples"])


def _adder_energy(job: Job, program: Program) -> dict[str, float]:
    """Of an addition over that of the exact adder, by name."""
    adders = dict.fromkeys(AdderSpec.parse(layer.adder) for layer in program.layers)
    return relative_energies(list(adders), job.out / "cells", native=job.options.native_tools)


def _front(job: Job, program: Program) -> dict | None:
    """What ``explore`` left in OUT, if it was for a network of this shape."""
    try:
        front = json.loads((job.out / "front.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    same = front.get("neurons") == [layer.neurons for layer in program.layers]
    return front if same else None


def _kept(path: pathlib.Path, key: dict) -> dict | None:
    """The JSON object in `path` if it was made for `key`; None otherwise."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return content if content.pop("key", None) == key else None


def _digest(folder: pathlib.Path) -> str:
    """SHA-256 of the program in `folder`."""
    content = b"".join((folder / name).read_bytes() for name in ("program.json", "program.npz"))
    return hashlib.sha256(content).hexdigest()


def _write_json(path: pathlib.Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _write_text(path: pathlib.Path, text: str) -> None:
    with replaced_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
