"""Proofs about frame receiver and sender, by induction: over every input, for ever.

The CRC of a byte is proved equal to eight steps of a bit and then used as a lemma.
"""

from amaranth.hdl import Array, Assert, Cat, Const, Elaboratable, Fragment, Module, Mux, Signal

from lamina.rtl.link.framing import FrameReceiver, FrameSender, crc_step
from tests.formal.conftest import signals

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD


def crc_by_bits(crc, byte):
    """CRC-16/CCITT-FALSE, one bit after the other."""
    for place in reversed(range(8)):
        feedback = crc[15] ^ byte[place]
        crc = Cat(Const(0, 1), crc[:15]) ^ Mux(feedback, 0x1021, 0)
    return crc


class CrcProof(Elaboratable):
    """The CRC of a byte is eight times that of a bit, from any state."""

    def __init__(self):
        self.crc, self.byte = Signal(16), Signal(8)

    @property
    def inputs(self):
        return [self.crc, self.byte]

    def elaborate(self, platform):
        m = Module()
        m.d.comb += Assert(crc_step(self.crc, self.byte) == crc_by_bits(self.crc, self.byte))
        return m


class ReceiverProof(Elaboratable):
    """Whatever comes in, exactly the intact frames are offered, and at most two wait.

    Relations between the signals inside of the receiver and the reference make the proof
    inductive, so that it holds for ever and not up to a depth.
    """

    def __init__(self, *, crc=True):
        self.byte, self.valid, self.release = Signal(8), Signal(), Signal()
        self._crc = crc

    @property
    def inputs(self):
        return [self.byte, self.valid, self.release]

    def elaborate(self, platform):
        m = Module()
        receiver = FrameReceiver()
        m.submodules.receiver = fragment = Fragment.get(receiver, platform)
        self._inside = signals(fragment)
        waiting = Signal(2)
        m.d.comb += [
            receiver.i.payload.eq(self.byte), receiver.i.valid.eq(self.valid),
            receiver.release_stb.eq(self.release & receiver.valid),
        ]
        good = self._reference(m, receiver.i.valid & receiver.i.ready)
        m.d.sync += waiting.eq(waiting + good - receiver.release_stb)
        full, write, read = (self._inside[name] for name in ("full", "write_id", "read_id"))
        m.d.comb += [
            Assert(receiver.valid == (waiting != 0)),
            Assert(receiver.i.ready == (waiting != 2)),
            Assert((waiting != 3) & ((write ^ read) == waiting[0])),
            Assert(full == Array([Const(0, 2), Mux(read, 2, 1), Const(3, 2)])[waiting]),
        ]
        return m

    def _reference(self, m, taken):
        """Condition: the byte that is taken ends an intact frame."""
        length, crc, escaped, broken = Signal(9), Signal(16, init=0xFFFF), Signal(), Signal()
        value = Mux(escaped, Mux(self.byte == ESC_END, END, ESC), self.byte)
        odd = escaped & (self.byte != ESC_END) & (self.byte != ESC_ESC)
        with m.If(taken & (self.byte == END)):
            m.d.sync += [length.eq(0), crc.eq(0xFFFF), escaped.eq(0), broken.eq(0)]
        with m.Elif(taken & (self.byte == ESC) & ~escaped):
            m.d.sync += escaped.eq(1)
        with m.Elif(taken):
            m.d.sync += [escaped.eq(0), broken.eq(broken | odd),
                         length.eq(Mux(length == 257, 257, length + 1)),
                         crc.eq(crc_step(crc, value))]
        inside, long = self._inside, length == 257
        m.d.comb += [
            Assert(inside["escaped"] == escaped),
            Assert(inside["bad"] == (broken | long)),
            Assert(inside["bad"] | (inside["crc"] == crc)),
            Assert((length <= 257) & (long | (inside["count"] == (length - 2)[:9]))),
        ]
        passes = (crc == 0) if self._crc else 1
        return (taken & (self.byte == END) & ~escaped & ~broken & ~long & passes & (length >= 4))


class RoundTripProof(Elaboratable):
    """Whatever the sender sends, the receiver takes for an intact frame of the same bytes.

    The relation between the two makes the proof inductive: their CRCs agree all along, and that of
    the sender is 0 once it has sent its own. Frames that are too short or too long are excepted.
    """

    IDLE, BEGIN, BODY, CRC, FINISH = range(5)

    def __init__(self):
        self.start, self.slot, self.stall = Signal(), Signal(2), Signal()

    @property
    def inputs(self):
        return [self.start, self.slot, self.stall]

    def elaborate(self, platform):
        m = Module()
        sender, receiver = FrameSender(), FrameReceiver()
        m.submodules.sender = source = Fragment.get(sender, platform)
        m.submodules.receiver = target = Fragment.get(receiver, platform)
        m.d.comb += [
            sender.start_stb.eq(self.start & ~sender.busy), sender.slot.eq(self.slot),
            receiver.i.payload.eq(sender.o.payload),
            receiver.i.valid.eq(sender.o.valid & ~self.stall),
            sender.o.ready.eq(receiver.i.ready & ~self.stall),
            receiver.release_stb.eq(receiver.valid),
        ]
        self._relate(m, signals(source), signals(target), sender, receiver)
        return m

    def _relate(self, m, source, target, sender, receiver):
        state = source["fsm_state"]
        inside = (state == self.BODY) | (state == self.CRC) | (state == self.FINISH)
        taken = sender.o.valid & sender.o.ready
        fresh = (~target["escaped"] & ~target["bad"] & (target["count"] == 0x1FE)
                 & (target["crc"] == 0xFFFF))
        m.d.comb += [
            Assert(state <= self.FINISH),
            Assert(target["escaped"] == source["escaping"]),
            Assert(Mux(inside, target["crc"] == source["crc"], fresh)),
            Assert(target["full"] == Mux(target["write_id"] ^ target["read_id"],
                                         Mux(target["read_id"], 2, 1), 0)),
        ]
        for when, what in (
                (~inside | (state == self.FINISH), ~source["escaping"]),
                (state == self.BEGIN, (source["crc"] == 0xFFFF) & ~source["summing"]),
                (state == self.BODY, ~source["summing"]),
                (state == self.CRC, source["summing"]),
                ((state == self.CRC) & source["last"], source["crc"][:8] == 0),
                (state == self.FINISH, source["crc"] == 0),
                (source["escaping"], (source["byte"] == END) | (source["byte"] == ESC))):
            m.d.comb += Assert(~when | what)
        with m.If(source["sent"]):
            m.d.comb += Assert(target["byte"] == source["byte"])
        fits = ~target["bad"] & ~target["count"][8] & target["count"][1:8].any()
        offers = Signal()
        m.d.sync += offers.eq((state == self.FINISH) & taken & fits)
        with m.If(offers):
            m.d.comb += Assert(receiver.valid)


def test_crc(prove):
    proof = CrcProof()
    assert prove(proof, proof.inputs, "link_crc", 1) == "PASS"


def test_receiver_offers_exactly_the_intact_frames(prove):
    proof = ReceiverProof()
    assert prove(proof, proof.inputs, "link_receiver", 2, "prove") == "PASS"


def test_receiver_proof_notices_the_crc(prove):
    proof = ReceiverProof(crc=False)
    assert prove(proof, proof.inputs, "link_receiver_crc", 8) == "FAIL"


def test_what_is_sent_is_received(prove):
    proof = RoundTripProof()
    assert prove(proof, proof.inputs, "link_round_trip", 3, "prove") == "PASS"
