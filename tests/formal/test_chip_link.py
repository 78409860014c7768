"""Proofs about a link between chips: any wires, any stalls, for ever, and what is sent arrives."""

import itertools

import pytest
from amaranth.hdl import (
    Assert,
    Assume,
    Cat,
    Const,
    Cover,
    Elaboratable,
    Fragment,
    Module,
    Mux,
    ResetSignal,
    Signal,
)

from lamina.models.fabric.config import ChipLinkConfig, MeshConfig, Port
from lamina.rtl.fabric import chip_link
from tests.formal.conftest import signals

SMALL = {bits: ChipLinkConfig(flit_bits=5, link_bits=bits, sequence_bits=2) for bits in (4, 8)}
MESH = MeshConfig(size=(3,), chips=(3,), payload_bits=2, link_bits=8)


def crc_by_division(crc, word):
    """CRC-16 with the polynomial 1021h, highest bit first, of the bits as they come."""
    for bit in word:
        feedback = crc[15] ^ bit
        crc = Cat(Const(0, 1), crc[:15]) ^ Mux(feedback, 0x1021, 0)
    return crc


class ReceiverProof(Elaboratable):
    """A cycle of rest leaves nothing behind, from any state; packets are the intact runs alone.

    The reference has its CRC the other way round.
    """

    def __init__(self, config, module=chip_link):
        self._config, self._receiver = config, module.PacketReceiver(config)

    @property
    def inputs(self):
        return [self._receiver.frame, self._receiver.data]

    def elaborate(self, platform):
        m = Module()
        config, tested = self._config, self._receiver
        m.submodules.receiver = fragment = Fragment.get(tested, platform)
        inside = signals(fragment)
        length, crc = Signal(range(config.full_words + 2)), Signal(16, init=0xFFFF)
        words = Signal(config.full_words * config.link_bits)
        rested = Signal()
        m.d.sync += rested.eq(~tested.frame)
        m.d.comb += Assert(~rested | ((inside["count"] == 0) & (inside["crc"] == 0xFFFF)))
        with m.If(tested.frame):
            m.d.sync += [length.eq(Mux(length == config.full_words + 1, length, length + 1)),
                         crc.eq(crc_by_division(crc, tested.data)),
                         words.eq(Cat(words, tested.data)[config.link_bits:])]
        with m.Else():
            m.d.sync += [length.eq(0), crc.eq(0xFFFF)]
        full = length == config.full_words
        good = (full | (length == config.short_words)) & (crc == 0)
        ends = ~tested.frame & (length != 0)
        m.d.comb += [
            Assert(length == inside["count"]), Assert(crc == inside["crc"][::-1]),
            Assert(words == inside["words"]), Assert(length <= config.full_words + 1),
            Assert(tested.intact_stb == (ends & good)),
            Assert(tested.malformed_stb == (ends & ~good)),
            Assert(~tested.intact_stb | (tested.packet.full == full)), Cover(tested.intact_stb)]
        return m


class RoundTripProof(Elaboratable):
    """What is sent, of either length and one packet behind the other, arrives as it was sent."""

    def __init__(self, config, module=chip_link):
        self._config = config
        self._sender, self._receiver = module.PacketSender(config), module.PacketReceiver(config)
        self.start = Signal()

    @property
    def inputs(self):
        return [self.start, self._sender.packet.as_value()]

    def elaborate(self, platform):
        m = Module()
        sender, receiver = self._sender, self._receiver
        m.submodules.sender, m.submodules.receiver = sender, receiver
        sent, packet = Signal.like(sender.packet), Signal.like(sender.packet)
        started = Signal()
        m.d.sync += [packet.eq(sender.packet), started.eq(sender.start_stb)]
        waits = Signal(range(self._config.full_words + 5))
        m.d.comb += [
            Assume(~ResetSignal()), sender.start_stb.eq(self.start & ~sender.busy),
            receiver.frame.eq(sender.frame), receiver.data.eq(sender.data),
            Assert(~receiver.malformed_stb), Cover(receiver.intact_stb & sender.start_stb)]
        with m.If(receiver.intact_stb):
            heard, told = receiver.packet, sent
            m.d.comb += [Assert(waits == 1), Assert(heard.full == told.full),
                         Assert(heard.expected == told.expected),
                         Assert(heard.taken == told.taken),
                         Assert(~told.full | (Cat(heard.flit, heard.sequence)
                                              == Cat(told.flit, told.sequence)))]
        with m.Else():
            m.d.comb += Assert(waits != 1)
        with m.If(waits != 0):
            m.d.sync += waits.eq(waits - 1)
        with m.If(started):
            m.d.sync += [sent.eq(packet), waits.eq(Mux(
                packet.full, self._config.full_words, self._config.short_words) + 1)]
        return m


class EndProof(Elaboratable):
    """Whatever is on the wires: the numbers stay in order, and the buffer has room for what comes.

    ``freed``, ``answered``, ``following``, ``high``, ``head`` lie within a window; what is in the
    buffer is what was taken in and has not left; what is offered stays so. That a buffer is a queue
    is proved with the router.
    """

    def __init__(self, module=chip_link):
        self._end = module.ChipLink(MESH, 1, Port.WEST)

    @property
    def inputs(self):
        end = self._end
        return [end.i.valid, end.i.payload, end.o.ready, end.rx_frame, end.rx_data]

    def elaborate(self, platform):
        m = Module()
        end, window = self._end, MESH.chip_link.window
        m.submodules.end = fragment = Fragment.get(end, platform)
        inside = signals(fragment)
        parts = {name: signals(Fragment.get(part, platform))
                 for part, name, *_ in fragment.subfragments}
        m.d.comb += Assume(~ResetSignal())
        ring = [inside[name] for name in ("freed", "answered", "following", "high", "head")]
        places = [(number - ring[0])[:len(number)] for number in ring]
        m.d.comb += [Assert(low <= high) for low, high in itertools.pairwise(places)]
        level = parts["buffer"]["level"]
        m.d.comb += [
            Assert(level == (inside["expected"] - inside["taken"])[:len(inside["taken"])]),
            Assert(level <= window), Assert(~parts["buffer"]["full"]),
            Assert(end.i.ready == (places[-1] < window)),
            Assert(~inside["dropped"] | inside["heard"]), Cover(end.o.valid & end.o.ready)]
        waiting = Signal()
        m.d.sync += waiting.eq(end.o.valid & ~end.o.ready)
        m.d.comb += [Assert(end.o.valid == (level != 0)), Assert(~waiting | end.o.valid)]
        return m


@pytest.mark.parametrize("bits", SMALL)
def test_receiver_finds_the_intact_packets_and_rests(bits, prove):
    proof = ReceiverProof(SMALL[bits])
    assert prove(proof, proof.inputs, f"packet_receiver_{bits}", 2, "prove") == "PASS"


@pytest.mark.parametrize(("bits", "depth"), [(8, 16), pytest.param(4, 28, marks=pytest.mark.long)])
def test_what_is_sent_is_received(bits, depth, prove):
    """Long enough for two packets of the larger kind, one behind the other."""
    proof = RoundTripProof(SMALL[bits])
    assert prove(proof, proof.inputs, f"packet_round_trip_{bits}", depth) == "PASS"
    assert prove(proof, proof.inputs, f"packet_round_trip_{bits}", depth, "cover") == "PASS"


def test_an_end_stays_in_order_whatever_it_hears(prove):
    proof = EndProof()
    assert prove(proof, proof.inputs, "chip_link_end", 2, "prove") == "PASS"


@pytest.mark.parametrize(("proof", "old", "new"), [
    (lambda module: ReceiverProof(SMALL[8], module), "m.d.sync += [count.eq(0), crc.eq(_CRC_INIT)]",
     "m.d.sync += count.eq(0)"),
    (lambda module: RoundTripProof(SMALL[8], module), "checking = left <= config.check_words",
     "checking = left < config.check_words"),
])
def test_the_proofs_notice(proof, old, new, prove, mutant):
    found = proof(mutant(chip_link, old, new))
    assert prove(found, found.inputs, "packet_mutant", 12) == "FAIL"


def test_the_proof_notices_answers_that_are_believed(prove, mutant):
    proof = EndProof(mutant(chip_link, "heard.eq(receiver.intact_stb & possible)",
                            "heard.eq(receiver.intact_stb)"))
    assert prove(proof, proof.inputs, "chip_link_end_mutant", 8) == "FAIL"
