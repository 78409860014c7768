"""Where a program lies in a core: rows, words and descriptor entries, or what is short."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np

from lamina.models.adders.spec import EXACT, AdderSpec
from lamina.models.config import DescriptorField, EntryKind, HardwareConfig, ResetRule
from lamina.models.program import Layer, Program
from lamina.models.source import INPUT, Source

__all__ = ["PlacedLayer", "Placement", "grown", "misfits", "place",
           "required_features", "snug"]

_INTERNAL = 1 << 15
_KEEP = 1 << 14
_MORE = 1 << 13
_WORD = 0xFFFF


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PlacedLayer:
    """Place of one layer.

    Parameters
    ----------
    row : int
        First row of its states and spikes.
    position_rows : int
        Rows of one output position of a convolution, all rows of another layer.
    rows : int
    weight_base : int
        First weight word.
    axons : int
        Weight words of one row, with those of unused lanes.
    units : int64 array (neurons,)
        Hardware number of each neuron, ``lane + lanes * (row of the state memory)``.
    axon_of : int64 array (weight rows,)
        Hardware axon of each row of the weight matrix.
    """

    row: int
    position_rows: int
    rows: int
    weight_base: int
    axons: int
    units: np.ndarray
    axon_of: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """Place of a whole program.

    Parameters
    ----------
    layers : tuple of PlacedLayer
    input_axons : int64 array (axons,)
        Hardware axon of each input line.
    entries : tuple of dict
        Descriptor entries in order, :class:`DescriptorField` to value.
    rows, mask_rows, weight_words, axons : int
        What is needed of each; `axons` counts external lines and list entries alike.
    """

    layers: tuple[PlacedLayer, ...]
    input_axons: np.ndarray
    entries: tuple[dict[DescriptorField, int], ...]
    rows: int
    mask_rows: int
    weight_words: int
    axons: int


@dataclasses.dataclass(frozen=True)
class _Map:
    """How a map of spikes lies in words: `step` words per position, or `pack` positions a word."""

    words: int
    pitch: int
    step: int
    pack: int
    slot: int
    lines: np.ndarray


def required_features(program: Program) -> tuple[str, ...]:
    """What a core must be generated with for `program`, sorted."""
    found = set()
    last = len(program.layers) - 1
    for index, layer in enumerate(program.layers):
        usual = (Source(layer=index - 1, units=layer.axons),) if layer.axons else ()
        if layer.is_convolution:
            found |= {"windows", "sources"}
        if layer.sources != usual or (layer.axons == 0 and index == 0):
            found.add("sources")
        if not layer.spiking or layer.current is not None:
            found.add("currents")
        if layer.reset is ResetRule.SUBTRACT_REDERIVED:
            found.add("rederived")
        if layer.refractory:
            found.add("refractory")
        if layer.leak == "subtract":
            found.add("subtractive")
        if layer.kappa:
            found.add("follow")
        if layer.receives or layer.sends:
            found |= {"currents", "partial"}
    if program.layers and any(source.layer == last for layer in program.layers
                              for source in layer.sources):
        found.add("sources")
    return tuple(sorted(found))


def _words(units: int, lanes: int) -> int:
    return -(-units // lanes)


def _flat_map(units: int, lanes: int) -> _Map:
    return _Map(words=_words(units, lanes), pitch=0, step=1, pack=0, slot=0,
                lines=np.arange(units))


def _input_map(shape: tuple[int, int, int], lanes: int) -> _Map:
    """An external map: (row, column, channel), channels padded to a power of two or to words."""
    channels, rows, columns = shape
    slot = (channels - 1).bit_length()
    if 1 << slot >= lanes:
        return _neuron_map(shape, lanes)
    per_word = lanes >> slot
    pitch = _words(columns, per_word)
    c, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    lines = (y * pitch * per_word + x << slot) + c
    return _Map(words=rows * pitch, pitch=pitch, step=1, pack=per_word.bit_length() - 1,
                slot=slot, lines=lines.ravel())


def _neuron_map(shape: tuple[int, int, int], lanes: int) -> _Map:
    """A map of rows: (row, column, channel), channels padded to whole words."""
    channels, rows, columns = shape
    step = _words(channels, lanes)
    c, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    lines = (y * columns + x) * step * lanes + c
    return _Map(words=rows * columns * step, pitch=columns * step, step=step, pack=0,
                slot=(lanes - 1).bit_length(), lines=lines.ravel())


class _Placer:
    """Places a program for a number of lanes."""

    def __init__(self, program: Program, lanes: int, tiers: int):
        self.program, self.lanes, self.tiers = program, lanes, tiers
        self.inputs = self._input_ranges()
        self.maps = [_neuron_map(layer.shape, lanes) if layer.is_convolution
                     else _flat_map(layer.neurons, lanes) for layer in program.layers]
        self.firsts = np.cumsum([0, *(map_.words for map_ in self.maps)])
        self.relays = self._relays()
        self.entries: list[dict[DescriptorField, int]] = []

    def _input_ranges(self) -> dict[tuple[int, int], tuple[int, _Map]]:
        """First word and map of each input range that some source names."""
        ranges: dict[tuple[int, int], tuple[int, int, int] | None] = {}
        for layer in self.program.layers:
            for source in layer.sources:
                if source.layer == INPUT:
                    shape = None if source.window is None else source.window.shape
                    key = (source.first, source.units)
                    ranges[key] = ranges.get(key) or shape
        if any(shape for shape in ranges.values()) or len(ranges) > 1:
            self._check_ranges(ranges)
        placed, word = {}, 0
        for key in sorted(ranges):
            shape = ranges[key]
            map_ = _flat_map(key[1], self.lanes) if shape is None \
                else _input_map(shape, self.lanes)
            placed[key] = (word, map_)
            word += map_.words
        self.input_words = word
        return placed

    def _check_ranges(self, ranges: dict) -> None:
        ends = sorted(ranges)
        for (first, units), (second, _) in itertools.pairwise(ends):
            if first + units > second:
                raise ValueError(f"{self.program.name}: sources must take whole inputs, not axons "
                                 f"{first}..{first + units - 1} and from {second} on")

    def _extra_delay(self, index: int, source: Source) -> int:
        """Timesteps that relays must add to what the order of layers gives."""
        if source.layer == INPUT or source.layer < index:
            return source.delay
        hears_itself = source.window is not None and source.layer == index
        return source.delay if source.delay > 1 or hears_itself else 0

    def _relays(self) -> dict[tuple, int]:
        """Longest chain of relays behind each origin: a layer or an input range."""
        longest: dict[tuple, int] = {}
        for index, layer in enumerate(self.program.layers):
            for source in layer.sources:
                origin = self._origin(source)
                longest[origin] = max(longest.get(origin, 0), self._extra_delay(index, source))
        self.relay_rows, row = {}, int(self.firsts[-1])
        for origin, count in sorted(longest.items()):
            for step in range(1, count + 1):
                self.relay_rows[origin, step] = row
                row += self._origin_words(origin)
        self.mask_rows = row
        return longest

    def _gate_mask(self, gated: int) -> int:
        return ((1 << gated) - 1) << (self.tiers - gated) if gated < self.tiers else 0

    @staticmethod
    def _origin(source: Source) -> tuple:
        return (source.layer, source.first, source.units) if source.layer == INPUT \
            else (source.layer, 0, source.units)

    def _origin_words(self, origin: tuple) -> int:
        layer, first, units = origin
        return self.inputs[first, units][1].words if layer == INPUT else self.maps[layer].words

    def _place_of(self, index: int, source: Source) -> tuple[int, _Map]:
        """SOURCE word and map of a source as layer `index` hears it."""
        extra, origin = self._extra_delay(index, source), self._origin(source)
        if source.layer == INPUT:
            word, map_ = self.inputs[source.first, source.units]
            place = word | _KEEP
        else:
            map_ = self.maps[source.layer]
            place = int(self.firsts[source.layer]) | _INTERNAL
        if extra:
            place = self.relay_rows[origin, extra] | _INTERNAL
        return place, map_

    def run(self) -> Placement:
        layers, word = [], 0
        axons = max(((start + map_.words - 1) * self.lanes + int(map_.lines[-1]) % self.lanes + 1
                     for start, map_ in self.inputs.values()), default=1)
        for index, layer in enumerate(self.program.layers):
            placed = self._layer(index, layer, word)
            layers.append(placed)
            word += (placed.position_rows) * placed.axons
            axons = max(axons, placed.axons)
        self._finish_entries()
        lines = np.full(self.program.axons, -1)
        for (first, units), (start, map_) in self.inputs.items():
            lines[first:first + units] = start * self.lanes + map_.lines
        if lines.min() < 0:
            raise ValueError(f"{self.program.name}: every input line must feed a layer, "
                             f"{int(lines.argmin())} feeds none")
        return Placement(layers=tuple(layers), input_axons=lines, entries=tuple(self.entries),
                         rows=int(self.firsts[-1]), mask_rows=self.mask_rows, weight_words=word,
                         axons=axons)

    def _layer(self, index: int, layer: Layer, word: int) -> PlacedLayer:
        map_, row = self.maps[index], int(self.firsts[index])
        axon_of, axons, entries = [], 0, []
        for source in layer.sources:
            place, seen = self._place_of(index, source)
            entry = {DescriptorField.SOURCE: place}
            if source.window is None:
                axon_of.append(axons + seen.lines)
                words = seen.words
                entry[DescriptorField.SOURCE_WORDS] = words
            else:
                taps, words = self._window(entry, source, layer, seen)
                axon_of.append(axons + taps)
            axons += words * self.lanes
            entries.append(entry)
        walks = layer.is_convolution and bool(layer.sources)
        group_rows = map_.step if walks else map_.words
        if len(layer.sources) == 1 and not layer.is_convolution:
            axons = max(1, int(axon_of[0].max()) + 1)
        self._layer_entries(index, layer, entries, axons, group_rows, row, word)
        return PlacedLayer(row=row, position_rows=group_rows, rows=map_.words, weight_base=word,
                           axons=axons, units=row * self.lanes + map_.lines,
                           axon_of=np.concatenate(axon_of) if axon_of
                           else np.zeros(0, dtype=np.int64))

    def _layer_entries(self, index, layer, sources, axons, group_rows, row, word) -> None:
        last = index == len(self.program.layers) - 1
        flags = (int(layer.reset) | int(layer.report or last) << 2 | int(not layer.spiking) << 3
                 | layer.refractory << 4 | int(layer.leak == "subtract") << 5
                 | int(layer.current is not None) << 6 | int(last) << 7
                 | self._gate_mask(layer.gated_tiers) << 8)
        columns = layer.shape[0] if layer.is_convolution else layer.neurons
        current = 0 if layer.current is None else int(self.firsts[layer.current])
        current |= layer.receives << 15 | layer.sends << 14
        head = {DescriptorField.AXONS: axons, DescriptorField.GROUPS: group_rows,
                DescriptorField.WEIGHT_BASE: word, DescriptorField.STATE_BASE: row,
                DescriptorField.FLAGS: flags, DescriptorField.CURRENT: current,
                DescriptorField.KAPPA: layer.kappa & _WORD,
                DescriptorField.LAST_LANES: (columns - 1) % self.lanes + 1}
        nothing = {DescriptorField.SOURCE: _INTERNAL, DescriptorField.SOURCE_WORDS: 0}
        first, *rest = sources or [nothing]
        head[DescriptorField.LAST_LANES] |= _MORE if rest else 0
        self.entries.append(head | first)
        for left, entry in reversed(list(enumerate(reversed(rest)))):
            kind = int(EntryKind.SOURCE) << 14 | (_MORE if left else 0)
            self.entries.append(entry | {DescriptorField.LAST_LANES: kind})

    def _window(self, entry: dict, source: Source, layer: Layer, seen: _Map
                ) -> tuple[np.ndarray, int]:
        """Fill the window's fields; returns the list number of each tap, and words of taps."""
        window = source.window
        (pool_y, pool_x), (pad_y, pad_x) = window.pool, window.padding
        unit = seen.step
        pair = {DescriptorField.POSITIONS: layer.shape[1:], DescriptorField.KERNEL: window.kernel,
                DescriptorField.POOL: window.pool, DescriptorField.STRIDE: window.stride,
                DescriptorField.DILATION: window.dilation, DescriptorField.PADDING: window.padding}
        entry |= {field: y | x << 8 for field, (y, x) in pair.items()}
        down, right = pool_y * seen.pitch, pool_x * unit
        entry |= {DescriptorField.ROWS: window.pooled[0], DescriptorField.COLUMNS: window.pooled[1],
                  DescriptorField.PITCH: seen.pitch,
                  DescriptorField.ROW_DILATION: window.dilation[0] * down,
                  DescriptorField.ROW_STRIDE: window.stride[0] * down,
                  DescriptorField.ROW_ORIGIN: -pad_y * down & _WORD,
                  DescriptorField.UNIT_STEP: unit,
                  DescriptorField.UNIT_DILATION: window.dilation[1] * right,
                  DescriptorField.UNIT_STRIDE: window.stride[1] * right,
                  DescriptorField.UNIT_ORIGIN: -pad_x * right & _WORD,
                  DescriptorField.LAYOUT: seen.step | seen.pack << 8 | seen.slot << 12}
        channels, (height, width) = window.shape[0], window.kernel
        entry[DescriptorField.SOURCE_WORDS] = height * width * seen.step
        taps = np.arange(height * width)[:, None] * seen.step * self.lanes + np.arange(channels)
        return taps.ravel(), height * width * seen.step

    def _finish_entries(self) -> None:
        """Append the relays, deepest first, and let the last reader of the input erase it."""
        for (origin, step), row in sorted(self.relay_rows.items(), key=lambda item: -item[0][1]):
            if step > 1:
                place = self.relay_rows[origin, step - 1] | _INTERNAL
            elif origin[0] == INPUT:
                place = self.inputs[origin[1], origin[2]][0] | _KEEP
            else:
                place = int(self.firsts[origin[0]]) | _INTERNAL
            self._relay(place, self._origin_words(origin), row)
        readers = [entry for entry in self.entries
                   if not entry[DescriptorField.SOURCE] & _INTERNAL]
        whole = [entry for entry in readers if entry is readers[-1]
                 and DescriptorField.KERNEL not in entry
                 and entry[DescriptorField.SOURCE] == _KEEP
                 and entry[DescriptorField.SOURCE_WORDS] == self.input_words]
        if whole:
            whole[0][DescriptorField.SOURCE] &= ~_KEEP
        else:
            self._relay(0, self.input_words, 0, writes=False)

    def _relay(self, place: int, words: int, row: int, *, writes: bool = True) -> None:
        kind = int(EntryKind.RELAY) << 14 | int(writes)
        self.entries.append({DescriptorField.SOURCE: place, DescriptorField.SOURCE_WORDS: words,
                             DescriptorField.STATE_BASE: row, DescriptorField.LAST_LANES: kind})


@functools.lru_cache(maxsize=8)
def place(program: Program, lanes: int, tiers: int = 1) -> Placement:
    """Place `program` in a core of `lanes` lanes whose memory has `tiers`.

    A plain chain takes its rows and words one after the other, its input lines keep their
    numbers. A map of spikes lies position by position: the channels of (row, column) in the lanes
    of ``ceil(channels / lanes)`` rows; of an external map with few channels several positions share
    a word. A source that must come later than the order of layers gives is relayed by rows of its
    own, one timestep each.

    Raises
    ------
    ValueError
        If sources take overlapping but unequal ranges of the input, or leave some of it out.
    """
    return _Placer(program, lanes, tiers).run()


def misfits(program: Program, config: HardwareConfig) -> list[str]:
    """Why `program` does not run on `config`: one sentence per short resource, or none."""
    placement, tiers = place(program, config.lanes, len(config.tiers)), len(config.tiers)
    gated = max(program.gated_tiers, *(layer.gated_tiers for layer in program.layers))
    features = required_features(program)
    needs = [
        ("weight words", placement.weight_words, config.weight_words),
        ("axons", placement.axons, config.axons),
        ("neuron groups", placement.rows, config.groups),
        ("rows of former spikes", placement.mask_rows, config.mask_rows),
        ("layer descriptors", len(placement.entries), config.layers),
        ("weight bits", program.weight_bits if config.is_binary else program.stored_bits,
         config.weight_bits),
        ("membrane bits", program.state_bits, config.state_bits),
        ("accumulator bits", program.acc_bits, config.acc_bits),
        ("gated tiers", min(gated, tiers), tiers - 1),
    ]
    if placement.rows > config.groups:
        needs = [need for need in needs if need[0] != "rows of former spikes"]
    short = [f"needs {need} {what}, has {has}" for what, need, has in needs if need > has]
    short += [f"needs the adder {AdderSpec.parse(name).label}, has "
              f"{', '.join(AdderSpec.parse(other).label for other in config.adders)}"
              for name in program.adders if name not in config.adders]
    if any(AdderSpec.parse(name).window for name in program.adders) \
            and program.acc_bits < config.acc_bits:
        short.append(f"needs {program.acc_bits} accumulator bits exactly, has {config.acc_bits}")
    short += [f"needs the feature {feature}, has {', '.join(config.features) or 'none'}"
              for feature in features if not config.has(feature)]
    supplied = {len(each.tier_millivolts) for each in (program, *program.layers)} - {0, tiers}
    short += [f"needs {count} tiers for its voltages, has {tiers}" for count in sorted(supplied)]
    if program.decay_bits != config.decay_bits:
        short.append(f"needs {program.decay_bits} decay bits, has {config.decay_bits}")
    if program.state_bits < config.state_bits and program.acc_bits > program.state_bits:
        short.append(f"needs {program.state_bits} membrane bits exactly, has {config.state_bits}")
    return short


def _adders(program: Program, config: HardwareConfig) -> tuple[str, ...]:
    """The adders of `config` if they suffice, else with those of `program`; exact only if used."""
    if set(program.adders) <= set(config.adders):
        return config.adders
    kept = config.adders if config.adders != (EXACT.name,) else ()
    return tuple(dict.fromkeys((*kept, *program.adders)))


def grown(program: Program, config: HardwareConfig, most: dict[str, int]) -> HardwareConfig:
    """`config` with the features and adders that `program` needs, and grown where it is short.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
    most : dict of str to int
        Largest value that a dimension of `config` may grow to; those not named stay. Memories grow
        by powers of two; ``state_bits`` and ``acc_bits`` become the program's, ``decay_bits`` too.

    Returns
    -------
    HardwareConfig
        It need not suffice: :func:`misfits` tells.
    """
    placement = place(program, config.lanes, len(config.tiers))
    features = tuple(sorted({*config.features, *required_features(program)}))
    config = dataclasses.replace(config, features=features, adders=_adders(program, config))
    if not most or not misfits(program, config):
        return config
    needs = {"weight_words": placement.weight_words, "axons": placement.axons,
             "groups": placement.rows, "layers": len(placement.entries)}
    fields = {name: max(getattr(config, name), min(most.get(name, 0),
                                                   1 << max(0, need - 1).bit_length()))
              for name, need in needs.items()}
    rows = max(fields["groups"], 1 << max(0, placement.mask_rows - 1).bit_length())
    fields["mask_rows"] = min(rows, max(fields["groups"], most.get("mask_rows", 0)))
    for name in ("state_bits", "acc_bits", "decay_bits"):
        if getattr(program, name) <= most.get(name, 0):
            fields[name] = getattr(program, name)
    return dataclasses.replace(config, **fields)


def snug(program: Program, config: HardwareConfig, word_bits: int) -> HardwareConfig:
    """A core that holds `program` and little more, with weight words of about `word_bits`.

    Lanes are as many as weights in a word, though not more than a layer has neurons. Tiers are
    those of `config` where the program's modes speak of them; otherwise the lowest ones that the
    weights need.

    Parameters
    ----------
    program : Program
    config : HardwareConfig
        What is not said here is kept.
    word_bits : int
        Of all tiers together [bit].

    Returns
    -------
    HardwareConfig
        Weight words are a multiple of 512, or of 16 below, all else powers of two.
    """
    def power(least: int) -> int:
        return 1 << max(0, least - 1).bit_length()

    tiers = config.tiers if _speaks_of_tiers(program) else _last_tiers(config, program.weight_bits)
    widest = max(layer.neurons for layer in program.layers)
    lanes = max(4, min(128, power(word_bits // sum(tiers)), power(widest)))
    features = tuple(sorted({*config.features, *required_features(program)}))
    needs = place(program, lanes, len(tiers))
    unit = 512 if needs.weight_words > 256 else 16
    groups = power(max(needs.rows, 2))
    axons = power(max(needs.axons, 2 * lanes, 16))
    return dataclasses.replace(
        config, lanes=lanes, tiers=tiers, features=features, adders=_adders(program, config),
        weight_words=max(16, -(-needs.weight_words // unit) * unit), groups=groups,
        axons=axons if "sources" in features else max(axons, lanes * groups),
        layers=len(needs.entries), mask_rows=max(groups, power(needs.mask_rows)),
        decay_bits=program.decay_bits, state_bits=program.state_bits,
        acc_bits=max(program.acc_bits, program.state_bits + 1))


def _speaks_of_tiers(program: Program) -> bool:
    """Whether tiers are gated or undervolted."""
    return any(each.gated_tiers or each.tier_millivolts for each in (program, *program.layers))


def _last_tiers(config: HardwareConfig, bits: int) -> tuple[int, ...]:
    """The lowest tiers that hold weights of `bits`; a single bit is a tier of its own."""
    for count in range(1, len(config.tiers) + 1):
        if sum(config.tiers[-count:]) >= bits > 1:
            return config.tiers[-count:]
    return (bits,) if bits == 1 else config.tiers
