"""What the blocks of the core refuse."""

import gc
import warnings

import pytest

from lamina.rtl.access import HostAccess
from lamina.rtl.counters import Counters
from lamina.rtl.emitter import Emitter
from lamina.rtl.partial_memory import PartialMemory
from lamina.rtl.power import PowerController
from lamina.rtl.scanner import Scanner
from lamina.rtl.spike_buffer import SpikeBuffer
from lamina.rtl.weight_memory import WeightMemory

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


@pytest.fixture(autouse=True)
def _collected():
    """Components that refused their parameters die here, since nothing elaborates them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.mark.parametrize("component", [Emitter, PartialMemory, Scanner, SpikeBuffer, WeightMemory,
                                       lambda config: HostAccess(config, 10)])
def test_a_config_is_wanted(component):
    with pytest.raises(TypeError, match=r"^config must be a HardwareConfig, not 'small'$"):
        component("small")


def test_a_power_config_is_wanted():
    with pytest.raises(TypeError, match=r"^config must be a PowerConfig, not 'small'$"):
        PowerController("small")


@pytest.mark.parametrize(("most", "message"), [
    ((1,), r"^number of counters must be in 2\.\.64, not 1$"),
    ((1,) * 65, r"^number of counters must be in 2\.\.64, not 65$"),
    ((1, 0), r"^most must be in 1\.\.5461, not 0$"),
    ((1, 5462), r"^most must be in 1\.\.5461, not 5462$"),
])
def test_bad_counters_are_refused(most, message):
    with pytest.raises(ValueError, match=message):
        Counters(most)
