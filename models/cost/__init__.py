"""Clock cycles of the core from spikes alone, to the cycle (docs/architecture.md, Cost)."""

from lamina.models.cost.sample import SampleCost, sample_cycles
from lamina.models.cost.scanner import scan_times

__all__ = ["SampleCost", "sample_cycles", "scan_times"]
