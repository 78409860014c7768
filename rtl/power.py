"""Power-budget controller: walks the tiers' voltages down and up, one step per decision."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from lamina.models.config import PowerConfig

__all__ = ["PowerController"]


class PowerController(wiring.Component):
    """Lower and gate the least significant tier that is on, or bring tiers back, by the budget.

    All tiers above k are nominal and all below it off, so k and its code are the whole state. A
    decision takes 5 cycles from ``decide_stb`` to the outputs and one multiplier; it is at most
    one step. Golden: :func:`lamina.models.power.decide`. Source: the patented run-time controller
    of stacked tiers; their voltages: Nguyen 2023b (see README, References).

    Parameters
    ----------
    config : PowerConfig

    Members
    -------
    decide_stb : In(1)
        Between samples: decide now; ignored while ``busy``.
    budget : In(budget_bits)
        [LSB], taken at ``decide_stb``, as are ``activity`` and ``rewrite_ack``.
    activity : In(activity_bits + 1)
        Measured activity since the last decision, 0..2**activity_bits.
    voltages : Out(array of voltage codes)
        Per tier: 0 nominal .. ``steps`` V_min, ``off`` no supply.
    gated : Out(tiers)
        Bit k: the data path must not use tier k; without supply, or not yet rewritten.
    rewrite_request : Out(1)
        The lowest tier with a supply has to be written anew. Falls after the acknowledgement, or
        before it: then the tier is off again, and what was written is lost.
    rewrite_ack : In(1)
        The whole tier was written since ``rewrite_request`` rose; held until that falls.
    busy : Out(1)
        A decision is being made; no sample may begin. Falls with the new outputs.

    Raises
    ------
    TypeError
        If ``config`` is not a :class:`PowerConfig`.
    """

    def __init__(self, config: PowerConfig):
        if not isinstance(config, PowerConfig):
            raise TypeError(f"config must be a PowerConfig, not {config!r}")
        self._config = config
        super().__init__({
            "decide_stb": In(1),
            "budget": In(config.budget_bits),
            "activity": In(config.activity_bits + 1),
            "voltages": Out(data.ArrayLayout(config.off.bit_length(), config.tiers)),
            "gated": Out(config.tiers),
            "rewrite_request": Out(1),
            "rewrite_ack": In(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        tier = Signal(range(config.tiers), init=config.tiers - 1)
        code = Signal(range(config.steps + 1))
        rewriting, over = Signal(), Signal()
        budget, activity = Signal.like(self.budget), Signal.like(self.activity)
        acknowledge, above = Signal(), Signal()
        exceeded = self._estimate(m, tier, code, above, activity, budget)
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                m.d.sync += [budget.eq(self.budget), activity.eq(self.activity),
                             acknowledge.eq(self.rewrite_ack)]
                with m.If(self.decide_stb):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.comb += above.eq(1)
                m.d.sync += over.eq(exceeded(0))
                m.next = "STEP"
            with m.State("STEP"):
                with m.If(over):
                    self._lower(m, tier, code, rewriting)
                with m.Elif(rewriting):
                    m.d.sync += rewriting.eq(~acknowledge)
                with m.Elif(~exceeded(config.hysteresis)):
                    self._raise(m, tier, code, rewriting, acknowledge)
                m.next = "APPLY"
            with m.State("APPLY"):
                self._apply(m, tier, code, rewriting)
                m.next = "IDLE"
        return m

    def _estimate(self, m, tier, code, above, activity, budget):
        """Product of activity and supplied power, of the next position up if `above`.

        Returns a function: whether the power and a margin [LSB] exceeded the budget, one cycle
        later.
        """
        config = self._config
        nominal = [sum(powers[0] for powers in config.tier_power[:k]) for k in range(config.tiers)]
        supplied = Array(Array(nominal[k] + power for power in config.tier_power[k])
                         for k in range(config.tiers))
        higher = above & (code == 0) & (tier != config.tiers - 1)
        place = Mux(higher, config.steps, code - (above & (code != 0)))
        product = Signal((config.full_power << config.activity_bits).bit_length() + 1)
        m.d.sync += product.eq(supplied[(tier + higher)[:len(tier)]][place[:len(code)]] * activity)

        def exceeded(margin: int):
            offset = (config.fixed_power + margin) << config.activity_bits
            return product + offset > budget << config.activity_bits

        return exceeded

    def _lower(self, m, tier, code, rewriting):
        with m.If(code != self._config.steps):
            m.d.sync += code.eq(code + 1)
        with m.Elif(tier != 0):
            m.d.sync += [tier.eq(tier - 1), code.eq(0), rewriting.eq(0)]

    def _raise(self, m, tier, code, rewriting, acknowledge):
        with m.If(code != 0):
            m.d.sync += code.eq(code - 1)
        with m.Elif((tier != self._config.tiers - 1) & ~acknowledge):
            m.d.sync += [tier.eq(tier + 1), code.eq(self._config.steps), rewriting.eq(1)]

    def _apply(self, m, tier, code, rewriting):
        """Outputs come from flip-flops: a supply must not see a glitch."""
        m.d.sync += self.rewrite_request.eq(rewriting)
        for k in range(self._config.tiers):
            waits = (tier == k) & rewriting if k else 0
            m.d.sync += [
                self.voltages[k].eq(Mux(tier == k, code, Mux(tier < k, self._config.off, 0))),
                self.gated[k].eq((tier < k) | waits),
            ]
