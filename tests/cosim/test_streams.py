"""Payloads of the streams as the Verilog packs them."""

import pytest

from lamina.models.config import HardwareConfig
from lamina.rtl.streams import event_layout, output_layout, request_layout
from lamina.tb.streams import event_fields, output_fields, pack, request_fields, unpack

CONFIG = HardwareConfig(lanes=4, axons=64, groups=8)


@pytest.mark.parametrize(("fields", "layout"), [
    (event_fields(CONFIG), event_layout(CONFIG)),
    (output_fields(CONFIG), output_layout(CONFIG)),
    (request_fields(), request_layout()),
])
def test_fields_are_those_of_the_hardware(fields, layout):
    values = {name: (1 << width) - 1 - position
              for position, (name, width) in enumerate(fields.items())}
    assert pack(values, fields) == layout.const(values).as_bits()
    assert unpack(pack(values, fields), fields) == values


def test_a_value_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"^axon must be in 0\.\.63, not 64$"):
        pack({"kind": 0, "axon": 64}, event_fields(CONFIG))
