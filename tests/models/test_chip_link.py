"""Packets between chips, and which links leave a chip."""

import copy
import dataclasses

import numpy as np
import pytest

from lamina.models.config import HardwareConfig
from lamina.models.fabric.chip_link import ChipLinkEnd, Framer, Packet, crc16, destinations
from lamina.models.fabric.config import ChipLinkConfig, FabricConfig, MeshConfig, Port

CONFIG = ChipLinkConfig(flit_bits=27, link_bits=4)


def end(config=CONFIG):
    return ChipLinkEnd(config, lambda flit: flit != 13)


def test_crc_is_that_of_the_catalogue():
    """CRC-16/MCRF4XX of "123456789" is 6F91h, in words of any width."""
    value = int.from_bytes(b"123456789", "little")
    for bits in (1, 2, 4, 8):
        words = [value >> place & ((1 << bits) - 1) for place in range(0, 72, bits)]
        assert crc16(words, bits) == 0x6F91


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("sequence_bits", [1, 3, 4])
def test_packets_come_back(bits, sequence_bits):
    config = ChipLinkConfig(flit_bits=19, link_bits=bits, sequence_bits=sequence_bits)
    rng = np.random.default_rng(1)
    for number in range(100):
        expected, taken, sequence = rng.integers(1 << sequence_bits, size=3).tolist()
        flit = {"flit": int(rng.integers(1 << 19)), "sequence": sequence} if number % 2 else {}
        packet = Packet(expected=expected, taken=taken, **flit)
        words = packet.encode(config)
        assert max(words) < 1 << bits
        assert len(words) == (config.full_words if flit else config.short_words)
        assert Packet.decode(config, words) == packet


def test_every_error_of_up_to_three_bits_is_seen():
    words = Packet(expected=3, taken=1, flit=0x2ABCDEF, sequence=5).encode(CONFIG)
    bits, rng = 4 * len(words), np.random.default_rng(2)
    errors = [[bit] for bit in range(bits)] + [
        rng.choice(bits, size=count, replace=False).tolist() for count in (2, 3)
        for _ in range(2000)]
    for error in errors:
        wrong = list(words)
        for bit in error:
            wrong[bit // 4] ^= 1 << bit % 4
        assert Packet.decode(CONFIG, wrong) is None
    assert Packet.decode(CONFIG, words[:-1]) is Packet.decode(CONFIG, [*words, 0]) is None


def test_framer_cuts_at_every_rest():
    framer = Framer()
    line = [(0, 9), (1, 1), (1, 2), (0, 9), (0, 9), (1, 3), (0, 9)]
    assert [run for sample in line if (run := framer.feed(*sample))] == [[1, 2], [3]]


def test_an_end_takes_a_flit_once_and_in_order():
    found = end()
    for number, flit in ((1, 11), (0, 10), (0, 10), (1, 11), (2, 13)):
        found.hear(Packet(expected=0, taken=0, flit=flit, sequence=number).encode(CONFIG))
    assert found.arrived == [10, 11] and found.malformed == 1
    assert found.answers == (3, 1)


def test_an_end_sends_no_more_than_the_far_buffer_holds():
    found = end()
    for flit in range(CONFIG.window):
        assert found.ready
        found.put(flit)
    assert not found.ready
    found.hear(Packet(expected=3, taken=0).encode(CONFIG))
    assert not found.ready and list(found.held) == [3, 4, 5, 6]
    found.hear(Packet(expected=3, taken=1).encode(CONFIG))
    assert found.ready and found.malformed == 0


@pytest.mark.parametrize(("expected", "taken"), [(4, 0), (2, 0), (3, 4), (7, 7)])
def test_impossible_answers_are_refused(expected, taken):
    found = end()
    for flit in range(3):
        found.put(flit)
    found.hear(Packet(expected=3, taken=0).encode(CONFIG))
    before = found.held, found.ready
    found.hear(Packet(expected=expected, taken=taken).encode(CONFIG))
    assert found.malformed == 1 and (found.held, found.ready) == before


def test_a_full_buffer_takes_nothing():
    found = end()
    for number in range(CONFIG.window + 1):
        found.hear(Packet(expected=0, taken=0, flit=number, sequence=number).encode(CONFIG))
    assert found.arrived == [*range(CONFIG.window)] and found.malformed == 1


class Transfer:
    """Flits 0, 1, ... from one end to another, packets and answers on lines that lose any of them.

    Parameters
    ----------
    config : ChipLinkConfig
    flits, under_way : int
        In all; packets in each direction at most.
    """

    def __init__(self, config, flits, under_way):
        self._config, self._flits, self._under_way = config, flits, under_way
        self.near, self.far = end(config), end(config)
        self.put = self.taken = 0
        self.lines = ([], [])

    @property
    def key(self):
        return (self.put, self.taken, *(len(each.arrived) for each in (self.near, self.far)),
                *self.near.answers, *self.far.answers, self.near.freed, *self.near.held.items(),
                *map(tuple, self.lines))

    @property
    def done(self):
        return self.near.freed == self._flits and not any(self.lines)

    def copies(self):
        """What each action leads to."""
        near, far = self.near, self.far
        if near.ready and self.put < self._flits:
            yield self.after(lambda it: (it.near.put(it.put), setattr(it, "put", it.put + 1)))
        if self.taken < len(far.arrived):
            yield self.after(lambda it: (it.far.take(), setattr(it, "taken", it.taken + 1)))
        for line, packet in self._packets():
            if len(self.lines[line]) < self._under_way:
                yield self.after(lambda it, line=line, packet=packet: it.lines[line].append(packet))
        for line, hears in enumerate(("far", "near")):
            if self.lines[line]:
                yield self.after(lambda it, line=line: it.lines[line].pop(0))
                yield self.after(lambda it, line=line, hears=hears: getattr(it, hears).hear(
                    it.lines[line].pop(0).encode(it._config)))

    def _packets(self):
        for line, each in enumerate((self.near, self.far)):
            expected, taken = each.answers
            yield line, Packet(expected=expected, taken=taken)
            for number, flit in each.held.items():
                yield line, Packet(expected=expected, taken=taken, flit=flit, sequence=number)

    def after(self, action):
        found = copy.deepcopy(self)
        action(found)
        return found


@pytest.mark.parametrize(("sequence_bits", "flits", "under_way"), [(1, 5, 2), (2, 5, 1)])
def test_every_flit_arrives_once_whatever_is_lost(sequence_bits, flits, under_way):
    """All orders of all events: flits arrive in order, and every state can come to the end."""
    config = ChipLinkConfig(flit_bits=3, link_bits=16, sequence_bits=sequence_bits)
    first = Transfer(config, flits, under_way)
    before, border, ends = {first.key: set()}, [first], []
    while border:
        here = border.pop()
        assert here.far.arrived == [*range(len(here.far.arrived))] and here.near.arrived == []
        assert len(here.far.arrived) - here.taken <= config.window
        assert here.near.malformed == here.far.malformed == 0
        ends += [here.key] * here.done
        for there in here.copies():
            if there.key not in before:
                border.append(there)
            before.setdefault(there.key, set()).add(here.key)
    reached, border = set(ends), list(ends)
    while border:
        new = before[border.pop()] - reached
        reached |= new
        border += new
    assert len(ends) == 1 and reached == before.keys() and len(before) > 1000


@pytest.mark.parametrize(("size", "chips", "count"), [
    ((2, 2), (), 0), ((2, 2), (1, 1), 0), ((2, 2), (2, 1), 2), ((2, 2), (2,), 2),
    ((4, 4), (2, 2), 8), ((4,), (4,), 3), ((2, 2, 4), (1, 1, 2), 4)])
def test_links_leave_a_chip_where_it_ends(size, chips, count):
    config = MeshConfig(size=size, chips=chips)
    leaving = [(tile, port) for tile in range(config.tiles) for port in config.ports
               if config.leaves_chip(tile, port)]
    assert len(leaving) == 2 * count
    assert all((config.neighbour(tile, port), port.opposite) in leaving for tile, port in leaving)
    assert (MeshConfig(size=size) == config) is (count == 0)
    assert MeshConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(("chips", "message"), [
    ((3, 1), r"^chips along x must divide its 4 tiles, not 3$"),
    ((1, 4), r"^chips along y must divide its 2 tiles, not 4$"),
    ((1, 1, 2), r"^chips along z must divide its 1 tiles, not 2$"),
    ((0, 1), r"^chips along x must be in 1\.\.128, not 0$"),
    ((1, 1, 1, 1), r"^chips must have 1\.\.3 dimensions, not 4$")])
def test_impossible_chips_are_refused(chips, message):
    with pytest.raises(ValueError, match=message):
        MeshConfig(size=(4, 2), chips=chips)


@pytest.mark.parametrize(("fields", "message"), [
    ({"flit_bits": 129}, r"^flit_bits must be in 1\.\.128, not 129$"),
    ({"link_bits": 3}, r"^link_bits must be a power of two, not 3$"),
    ({"sequence_bits": 5}, r"^sequence_bits must be in 1\.\.4, not 5$"),
    ({"wire_cycles": 65}, r"^wire_cycles must be in 0\.\.64, not 65$")])
def test_impossible_links_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **fields)


def test_configurations_come_back():
    assert ChipLinkConfig.from_json(CONFIG.to_json()) == CONFIG
    fabric = FabricConfig(core=HardwareConfig(), size=(4, 2), chips=(2,), link_bits=2)
    assert fabric.chips == fabric.mesh.chips == (2, 1)
    assert FabricConfig.from_json(fabric.to_json()) == fabric


def test_flits_go_on_straight_or_turn_to_later_axes():
    config = MeshConfig(size=(4, 3))
    assert destinations(config, config.tile((1, 1)), Port.WEST) == [
        config.tile((x, y)) for y in range(3) for x in (1, 2, 3)]
    assert destinations(config, config.tile((1, 1)), Port.NORTH) == [
        config.tile((1, y)) for y in (0, 1)]
