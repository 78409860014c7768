"""The process kit where it is installed, and small libraries in the same format."""

import pathlib

import pytest

from lamina.flows.errors import UserError
from lamina.flows.sky130.pdk import find_library, find_macros

ROOT = pathlib.Path(__file__).parents[3]
TOY = ROOT / "tests" / "flows" / "adders" / "toy.lib"
SEQUENTIAL = '''library ("toy") {
 cell ("toy_ff") {
  area : 20; cell_leakage_power : 3;
  ff ("IQ","IQ_N") { clocked_on : "CLK"; next_state : "D"; }
  pin ("CLK") { clock : "true"; direction : "input"; capacitance : 0.002;
   internal_power () {
    fall_power ("in") { index_1("0, 1"); values("0.02, 0.02"); }
    rise_power ("in") { index_1("0, 1"); values("0.01, 0.01"); } } }
  pin ("D") { direction : "input"; capacitance : 0.001; }
  pin ("Q") { direction : "output"; function : "IQ";
   internal_power () { related_pin : "CLK";
    fall_power ("out") { index_1("0, 1"); index_2("0, 0.01"); values("0.03, 0.03", "0.03, 0.03"); }
    rise_power ("out") { index_1("0, 1"); index_2("0, 0.01");
     values("0.05, 0.05", "0.05, 0.05"); } }
   timing () { related_pin : "CLK"; timing_sense : "non_unate"; timing_type : "rising_edge";
    rise_transition ("d") { index_1("0, 1"); index_2("0, 0.01"); values("0, 1", "0, 1"); }
    fall_transition ("d") { index_1("0, 1"); index_2("0, 0.01"); values("0, 1", "0, 1"); } } }
 }
 cell ("toy_gate") {
  area : 10; clock_gating_integrated_cell : "latch_posedge";
  pin ("CLK") { clock : "true"; direction : "input"; capacitance : 0.004; }
  pin ("GATE") { direction : "input"; capacitance : 0.003; }
  pin ("GCLK") { direction : "output"; state_function : "(CLK*M0)"; }
  pin ("M0") { direction : "internal"; internal_node : "M0"; }
 }
 cell ("toy_reset_ff") {
  area : 25;
  ff ("IQ","IQ_N") { clocked_on : "CLK"; next_state : "D"; clear : "!R"; }
  pin ("CLK") { clock : "true"; direction : "input"; capacitance : 0.002; }
  pin ("Q") { direction : "output"; function : "IQ"; }
 }
 cell ("toy_tri") { area : 5; pin ("Z") { direction : "output"; } }
}
'''
MACRO = '''library (ram_lib){
cell (toy_ram){
    area : 1000;
    leakage_power () { value : 0.002; }
    cell_leakage_power : 0.002;
    bus(din0){ bus_type : data; direction : input; capacitance : 0.007;
        pin(din0[31:0]){ timing(){ related_pin : "clk0"; } } }
    bus(dout0){ bus_type : data; direction : output; }
    pin(clk0){ clock : true; direction : input; capacitance : 0.005;
        internal_power(){ when : "!csb0"; rise_power(scalar){ values("1.5e+01"); }
            fall_power(scalar){ values("1.0e+01"); } }
        internal_power(){ when : "csb0"; rise_power(scalar){ values("5"); }
            fall_power(scalar){ values("4"); } } }
}
}
'''


@pytest.fixture(scope="session")
def build_dir() -> pathlib.Path:
    """Folder of netlists and simulators, kept between sessions: equal ones are built once."""
    folder = ROOT / "out" / "cosim"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def toy():
    """Path of a library with a NAND and an inverter."""
    return TOY


@pytest.fixture
def sequential(tmp_path):
    """Path of a library with flip-flops, a clock gate and a cell without a function."""
    path = tmp_path / "sequential.lib"
    path.write_text(SEQUENTIAL)
    return path


@pytest.fixture
def ram(tmp_path):
    """Path of a library with a memory macro."""
    path = tmp_path / "ram.lib"
    path.write_text(MACRO)
    return path


@pytest.fixture
def kit():
    """Paths of the cell library and of the macros' libraries of SkyWater 130 nm."""
    try:
        return find_library(), find_macros()
    except UserError as error:
        pytest.skip(str(error))
