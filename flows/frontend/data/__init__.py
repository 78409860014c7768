"""Labelled samples for a network: images, signals, spikes and recordings of event cameras."""

from lamina.flows.frontend.data.counts import COUNTS, CountRule
from lamina.flows.frontend.data.dataset import Dataset, Encoded
from lamina.flows.frontend.data.load import load_data, random_data
from lamina.flows.frontend.data.recorded import POLARITIES, Binning, play
from lamina.flows.frontend.data.recording import axons, read_events

__all__ = ["COUNTS", "POLARITIES", "Binning", "CountRule", "Dataset", "Encoded", "axons",
           "load_data", "play", "random_data", "read_events"]
