"""The report of a run: ``report.json`` for tools, ``report.html`` for people."""

from __future__ import annotations

import base64
import importlib.resources
import io
import json

import jinja2
import numpy as np
from matplotlib.figure import Figure

from lamina.flows.fabric.plots import draw_mesh
from lamina.flows.report import plots
from lamina.flows.report.chip import NESTED, chip_section
from lamina.flows.report.energy import energy_rows
from lamina.flows.report.neurobench import connections
from lamina.flows.report.peers import MARKS, PEERS
from lamina.flows.report.techniques import (
    front_rows,
    operation_rows,
    own_groups,
    published_groups,
)
from lamina.flows.search.plots import draw_front
from lamina.flows.study.plots import add_legend, draw_trade, draw_voltage, is_comparable
from lamina.flows.study.undervolt import table_rows
from lamina.models.config import HardwareConfig
from lamina.models.placement import place
from lamina.models.program import Layer, Program
from lamina.models.trace import Trace
from lamina.models.voltage import supplies

__all__ = ["SCHEMA_VERSION", "build_report", "network_block", "render_html", "report_text",
           "result_rows"]

SCHEMA_VERSION = 1
_FIRST_COLUMNS = ("name", "scale", "spike_agreement", "jaccard")
_PERCENTAGES = ("accuracy", "agreement", "jaccard", "clipped")


def network_block(program: Program) -> dict:
    """The report's ``network``: layers, synapses, and parameters (weights and used biases)."""
    biases = sum(layer.shape[0] for layer in program.layers if layer.bias.any())
    weights = sum(layer.weights.size for layer in program.layers)
    layers = [{"inputs": sum(source.units for source in dict.fromkeys(fed.sources)),
               "neurons": layer.neurons, "neuron_model": _neuron_model(layer, program)}
              for layer, fed in _shown(program)]
    return {"name": program.name, "layers": layers,
            "synapses": sum(map(connections, program.layers)), "parameters": weights + biases}


def build_report(program: Program, *, quantisation: dict, golden: dict, verify: dict | None,
                 synth: dict | None, neurobench: dict | None = None,
                 energy: dict | None = None) -> dict:
    """Join the blocks of the steps; a step that has not run is null.

    ``synth.images_per_second`` is fmax by the simulated cycles per sample; null without both.
    ``mesh`` is what the verification on a mesh has beside that of one core; null without a mesh.
    """
    mesh = (verify or {}).get("mesh")
    if mesh is not None:
        verify = {name: value for name, value in verify.items() if name != "mesh"}
    if synth is not None:
        cycles = verify and verify.get("cycles_per_sample")
        fmax = synth.get("fmax_mhz")
        rate = round(fmax * 1e6 / cycles, 1) if cycles and fmax else None
        synth = {**synth, "images_per_second": rate}
    return {"schema_version": SCHEMA_VERSION, "network": network_block(program),
            "quantisation": quantisation, "golden": golden, "neurobench": neurobench,
            "verify": verify, "mesh": mesh, "synth": synth, "energy": energy}


def report_text(report: dict) -> str:
    """``report.json`` as text: sorted, and refusing what JSON does not have (NaN)."""
    return json.dumps(report, indent=1, sort_keys=True, allow_nan=False) + "\n"


def result_rows(result: dict) -> list[tuple[str, str]]:
    """Name and value, for a table: of a whole report its headlines, else of all numbers in it."""
    if "schema_version" in result:
        return _headlines(result)
    if "widths" in result:
        return _widths(result)
    if "modes" in result:
        return table_rows(result)
    shown = {name: value for name, value in result.items() if name != "network"}
    if "quantisation" in shown:
        shown["quantisation"] = _without_layers(shown["quantisation"])
    if "mesh" in shown:
        shown["mesh"] = _mesh_summary(shown["mesh"])
    return _rows(shown)


def _hops(routers: list[dict]) -> dict:
    """What all routers counted, and what they were expected to."""
    totals = {"hops counted by the routers": "hops", "hops by spikes and ways": "expected_hops"}
    return {told: sum(each[name] for each in routers) for told, name in totals.items() if routers}


def _mesh_energy(energy: dict | None) -> dict:
    """Of a mesh what is estimated of it, and how."""
    if energy is None:
        return {}
    return {"estimated nJ per timestep": energy["nj"], "of them in cores": energy["cores_nj"],
            "by flits": energy["flits_nj"], "by clocks of routers": energy["router_clocks_nj"],
            "pJ per flit and hop": energy["pj_per_flit_hop"], "how": energy["assumption"]}


def _mesh_summary(mesh: dict) -> dict:
    """Of a verified mesh what fits a table; the rest is in ``verify.json`` and ``mesh.png``."""
    return {"size": "x".join(map(str, mesh["size"])),
            **({"chips": "x".join(map(str, mesh["chips"])),
                "data wires between chips": mesh["link_bits"]} if mesh.get("chips") else {}),
            "tiles in use": len(mesh["tiles"]),
            "cycles without CLEAR": mesh["cycles"], "expected": mesh["expected_cycles"],
            "busiest tile": max(each["busy"] for each in mesh["tiles"]),
            "expected flits per timestep": mesh["flits"],
            "expected hops per timestep": mesh["flit_hops"],
            "flits on the busiest link": max([each["flits"] for each in mesh["links"]],
                                             default=0.0),
            **_hops(mesh.get("routers", [])),
            **_mesh_energy(mesh.get("energy")),
            **{f"dead {what}": len(mesh[f"dead_{what}"]) for what in ("links", "tiles")
               if mesh[f"dead_{what}"]}}


def render_html(report: dict, program: Program, config: HardwareConfig | None, *, target: str,
                calibration: dict | None = None, sample: np.ndarray | None = None,
                trace: Trace | None = None, label: int | None = None,
                confusion: np.ndarray | None = None, undervolted: dict | None = None,
                front: dict | None = None) -> str:
    """The self-contained page.

    Parameters
    ----------
    report : dict
        From :func:`build_report`.
    program : Program
    config : HardwareConfig or None
        None: no memory map.
    target : str
        Name of the board.
    calibration : dict or None
        As the quantiser leaves it; its list of layers becomes a table.
    sample : uint8 array (T, axons) or None
        Input spikes of sample 0.
    trace : Trace or None
        Traced golden run of that sample.
    label : int or None
        Its label.
    confusion : int array (classes, classes) or None
    undervolted : dict or None
        Of :func:`lamina.flows.study.undervolt.undervolt`.
    front : dict or None
        Of :func:`lamina.flows.search.command.explore`.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters |= {"number": _number, "share": _share, "ratio": _ratio}
    source = importlib.resources.files("lamina.flows.report") / "report.html"
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        report=report, program=program, target=target, shape=_shape(program),
        verdict=_verdict(report["verify"]), tiles=_tiles(report), layers=_layers(program),
        assumptions=sorted(program.assumptions.items()),
        quantisation=_rows(_without_layers(report["quantisation"])),
        calibration=_calibration(calibration), neurobench=_rows(report["neurobench"]),
        confusion=confusion is not None and _image(plots.confusion_matrix(confusion)),
        rasters=_rasters(program, sample, trace), membranes=_membranes(program, trace),
        sample=None if label is None else f"label {label}",
        memory=config and _memory(program, config), verification=_rows(report["verify"]),
        synthesis=_rows({name: value for name, value in (report["synth"] or {}).items()
                         if name not in NESTED}),
        chip=chip_section(report), mesh=report["mesh"] and _mesh(report["mesh"]),
        energy=_energy(report["energy"]),
        voltage=undervolted and _voltage(undervolted), front=front and _front(front),
        techniques=[*own_groups(report, program, undervolted, front), *published_groups()],
        operations=operation_rows(report["energy"]), ours=_ours(report, program, target),
        peers=PEERS, marks=MARKS)


def _mesh(mesh: dict) -> dict:
    """The summary, and the picture."""
    image = io.BytesIO()
    draw_mesh(mesh, image)
    return {"rows": _rows(_mesh_summary(mesh)), "picture": _png(image)}


def _png(image: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()


def _energy(block: dict | None) -> dict | None:
    """Figures, and a bar of the parts."""
    if block is None:
        return None
    shares = block["relative_breakdown"]
    parts = {f"tier {tier}": share for tier, share in enumerate(shares["memory"])}
    parts |= {"adders": shares["adders"], "rest": shares["rest"]}
    return {"rows": [(name, _number(value)) for name, value in energy_rows(block)
                     if value is not None],
            "plot": _image(plots.energy(parts)), "calibration": block["calibration"]}


def _voltage(result: dict) -> dict:
    """Both plots, and the table by voltage."""
    def voltage(figure: Figure) -> None:
        draw_voltage(figure.subplots(1, 2, sharey=True), result)
        add_legend(figure, [result], trade=False)

    def trade(figure: Figure) -> None:
        draw_trade(figure.add_subplot(), result)
        add_legend(figure, [result], trade=True)

    images = [_image(plots.svg(draw, width=10.6, height=4.5)) for draw in (voltage, trade)]
    return {"result": result, "comparable": is_comparable(result), "plots": images,
            **_by_voltage(result)}


def _by_voltage(result: dict) -> dict:
    """Columns of modes, rows of voltages; what has no voltage apart."""
    entries = {each["mode"]: each for each in result["modes"]}
    columns = list(dict.fromkeys(f"{each['family']}{each['count']}" for each in result["modes"]
                                 if each["volts"] is not None))
    rows = [(supply, [entries[f"{column}@{supply}"] for column in columns])
            for supply in result["volts"]]
    fixed = [("nominal" if not each["count"] else f"{each['count']} gated", each)
             for each in result["modes"] if each["volts"] is None]
    return {"columns": columns, "rows": rows, "fixed": fixed}


def _front(front: dict) -> dict:
    image = io.BytesIO()
    draw_front(front, image)
    return {"found": front, "rows": front_rows(front),
            "plot": _png(image)}


def _widths(exploration: dict) -> list[tuple[str, str]]:
    """A line per weight width, and the chosen one."""
    rows = []
    for entry in exploration["widths"]:
        share = "agreement" if entry["accuracy"] is None else "accuracy"
        cycles = entry["cycles_per_sample"]
        parts = [f"{share} {_share(entry[share])}", f"Jaccard {entry['jaccard']:.4f}",
                 f"{entry['memory_bits']:,} bit of weights",
                 "cycles not predicted" if cycles is None else f"{cycles:,.0f} cycles per sample",
                 "fits" if entry["fits"] else "does not fit"]
        rows.append((f"{entry['weight_bits']} bit", ", ".join(parts)))
    chosen = exploration["chosen"]
    return [*rows, ("chosen", "none keeps enough" if chosen is None else f"{chosen} bit")]


def _without_layers(quantisation: dict) -> dict:
    """What is told once for the network."""
    return {name: value for name, value in quantisation.items()
            if name not in ("layers", "first_disagreement")}


def _shown(program: Program) -> list[tuple[Layer, Layer]]:
    """Layers as a user counts them, each with the one that holds its weights.

    A synaptic current belongs to the layer that it feeds.
    """
    currents = {layer.current for layer in program.layers}
    return [(layer, layer if layer.current is None else program.layers[layer.current])
            for index, layer in enumerate(program.layers) if index not in currents]


def _neuron_model(layer: Layer, program: Program) -> str:
    keeps = bool((layer.decay == 1 << program.decay_bits).all()) and layer.leak == "decay"
    if not layer.spiking:
        return "CubaLI" if layer.current is not None else "I" if keeps else "LI"
    if layer.current is not None:
        return "CubaLIF"
    if layer.leak == "decay" and not layer.decay.any():
        return "Threshold"
    return "IF" if keeps else "LIF"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _entry(name: str, value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_entry(name, part) for part in value)
    if any(word in name for word in _PERCENTAGES) and isinstance(value, float):
        return _share(value)
    return _number(value)


def _rows(block: dict | None) -> list[tuple[str, str]]:
    """Name and value of what is in `block`, those of inner objects behind the object's name."""
    rows = []
    for name, value in (block or {}).items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            rows += [(f"{title}: {inner}", text) for inner, text in _rows(value)]
        elif value is not None and value != []:
            rows.append((title, _entry(name, value)))
    return rows


def _shape(program: Program) -> str:
    sizes = [program.input_shape if len(program.input_shape) == 3 else (program.axons,)]
    sizes += [layer.shape for layer, _ in _shown(program)]
    return "-".join("x".join(map(str, size)) for size in sizes)


def _verdict(verify: dict | None) -> dict:
    if verify is None:
        return {"kind": "", "text": "not verified"}
    compared = (f"{_number(verify['events_compared'])} events and "
                f"{_number(verify['membranes_compared'])} membranes compared")
    if verify["mismatches"]:
        return {"kind": "bad", "text": f"{_number(verify['mismatches'])} mismatches, {compared}"}
    return {"kind": "good", "text": f"hardware equals golden model: {compared}"}


def _tiles(report: dict) -> list[dict]:
    verify, synth = report["verify"] or {}, report["synth"] or {}
    tiles = [("integer accuracy", _share(report["quantisation"]["integer_accuracy"])),
             ("float accuracy", _share(report["quantisation"]["float_accuracy"])),
             ("cycles per sample", _number(verify.get("cycles_per_sample"))),
             ("SOP per lane and cycle", _number(verify.get("sop_per_lane_cycle"))),
             ("LUTs", _number(synth.get("luts"))),
             ("area [mm2]", _number(synth.get("area_um2") and synth["area_um2"] / 1e6)),
             ("fmax [MHz]", _number(synth.get("fmax_mhz"))),
             ("samples per second, computing", _number(synth.get("images_per_second"))),
             ("samples per second, over the link", _number(synth.get("link_images_per_second"))),
             ("energy / E0", _number((report["energy"] or {}).get("relative"))),
             ("pJ per SOP, measured", _number((report["energy"] or {}).get("measured", {}).get(
                 "pj_per_sop")))]
    return [{"name": name, "value": value} for name, value in tiles if value != "-"]


def _headlines(report: dict) -> list[tuple[str, str]]:
    synth = report["synth"] or {}
    return [("network", report["network"]["name"]),
            ("verification", _verdict(report["verify"])["text"]),
            *((tile["name"], tile["value"]) for tile in _tiles(report)),
            *((name, synth[name]) for name in ("bitstream", "netlist") if synth.get(name))]


def _layers(program: Program) -> list[dict]:
    blocks = network_block(program)["layers"]
    return [{"name": layer.name, "reset": layer.reset.label if layer.spiking else "-", **block}
            for (layer, _), block in zip(_shown(program), blocks, strict=True)]


def _calibration(calibration: dict | None) -> dict | None:
    layers = (calibration or {}).get("layers")
    if not layers:
        return None
    first = [name for name in _FIRST_COLUMNS if name in layers[0]]
    columns = first + [name for name in layers[0] if name not in (*first, "first")]
    rows = [[_entry(name, layer[name]) for name in columns] for layer in layers]
    plain = {name: value for name, value in calibration.items()
             if not isinstance(value, dict | list)}
    notes = "; ".join(f"{name} {value}" for name, value in _rows(plain))
    plot = "jaccard" in layers[0] and _image(plots.losses(layers))
    return {"columns": [name.replace("_", " ") for name in columns], "rows": rows, "notes": notes,
            "plot": plot, "first": _disagreement(calibration.get("first_disagreement"))}


def _disagreement(first: dict | None) -> str | None:
    if first is None:
        return None
    fires = "only the float network fires" if first["float_spike"] else "only the program fires"
    return (f"Sample {first['sample']}, timestep {first['timestep']}, layer {first['layer']}, "
            f"neuron {first['neuron']}: {fires}; membranes after it {first['float_membrane']:.6g} "
            f"(threshold {first['float_theta']:.6g}) and {first['integer_membrane']} "
            f"(threshold {first['integer_theta']})")


def _image(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _rasters(program: Program, sample: np.ndarray | None, trace: Trace | None) -> list[str]:
    if sample is None or trace is None:
        return []
    images = [plots.raster(sample, "input")]
    images += [plots.raster(spikes[0], layer.name)
               for layer, spikes in zip(program.layers, trace.layer_spikes, strict=True)]
    return [_image(image) for image in images]


def _membranes(program: Program, trace: Trace | None) -> str | None:
    if trace is None:
        return None
    return _image(plots.membranes(trace.layer_membranes[-1][0], trace.spikes[0],
                                  program.layers[-1].theta))


def _memory(program: Program, config: HardwareConfig) -> dict:
    placed = place(program, config.lanes, len(config.tiers)).layers
    words = [layer.position_rows * layer.axons for layer in placed]
    tiers = [_tier(program, config, index, words) for index in range(len(config.tiers))]
    return {"lanes": config.lanes, "tiers": tiers, "used": sum(words),
            "words": config.weight_words, "free": config.weight_words - sum(words)}


def _tier(program: Program, config: HardwareConfig, index: int, words: list[int]) -> dict:
    """One bar of the memory map: a part per layer, as wide as its share of the tier."""
    from_below = len(config.tiers) - index
    parts, base = [], 0
    for number, (layer, size) in enumerate(zip(program.layers, words, strict=True)):
        gated = from_below <= max(program.gated_tiers, layer.gated_tiers)
        parts.append({"name": layer.name, "gated": gated,
                      "color": plots.PALETTE[number % len(plots.PALETTE)],
                      "width": round(100 * size / config.weight_words, 2),
                      "title": f"{layer.name}: words {base}..{base + size - 1}"})
        base += size
    bits = sum(words) * config.lanes * config.tiers[index]
    off = [part["name"] for part in parts if part["gated"]]
    on = dict.fromkeys(f"{volts:.3g} V" for layer in program.layers
                       if (volts := supplies(program, layer, len(config.tiers))[index]))
    state = "off" if len(off) == len(parts) else f"off in {', '.join(off)}" if off else "nominal"
    if set(on) - {"1.1 V"}:
        state = f"{state.replace('nominal', '')} {' and '.join(on)}".strip()
    return {"index": index, "bits": config.tiers[index], "parts": parts,
            "text": f"{bits:,} bit used, {state}"}


def _ours(report: dict, program: Program, target: str) -> list[str]:
    verify, synth = report["verify"] or {}, report["synth"] or {}
    cycles = verify.get("cycles_per_sample")
    resources = ", ".join(f"{_number(synth[key])} {unit}" for key, unit in
                          (("luts", "LUT"), ("ffs", "FF"), ("brams", "BRAM"),
                           ("sprams", "SPRAM"), ("dsps", "DSP"), ("cells", "cells"),
                           ("macros", "macros")) if synth.get(key))
    mnist = program.layers[0].axons == 784 and program.outputs == 10
    return ["Lamina (this run)", f"{_shape(program)}, T = {program.timesteps}, {target}",
            f"{_number(cycles)} per sample" if cycles else "-", resources or "-",
            _number(synth.get("fmax_mhz")),
            _share(report["quantisation"]["integer_accuracy"]) if mnist else "-"]
