"""The largest network of a shape that a shuttle holds."""

import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130.pdk import find_lefs
from lamina.flows.tapeout.fit import fitting

CHAIN = ({"axons": 784, "neurons": 128}, {"axons": 128, "neurons": 10})


@pytest.fixture
def kit():
    try:
        find_lefs()
    except UserError as error:
        pytest.skip(str(error))


def test_hidden_neurons_of_eight_bit(kit):
    (found,) = fitting(CHAIN, "caravel", [8])
    # Rows of 16 neurons: 784 words of 128 bit each, four macros for every 512; 48 fill five rows.
    assert (found["weight_bits"], found["lanes"], found["hidden"]) == (8, 16, 48)
    assert found["macros"] >= 20 and 0.55 < found["macro_share"] <= 0.6


@pytest.mark.parametrize(("layers", "shuttle", "message"), [
    (CHAIN, "mpw", "--fit must be caravel, not 'mpw'"),
    (CHAIN[:1], "caravel", "--fit caravel varies one hidden layer, the network has 0"),
    ((*CHAIN, CHAIN[1]), "caravel", "--fit caravel varies one hidden layer, the network has 2")])
def test_what_cannot_be_varied(layers, shuttle, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        fitting(layers, shuttle)
