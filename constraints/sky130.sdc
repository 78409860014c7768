# A core, or a device, on SkyWater 130: one ideal clock; PERIOD [ns] is set by the flow.
# Its streams lead to registers beside it, not to pads.
set period PERIOD
create_clock -name clk -period $period [get_ports clk]
set_clock_uncertainty 0.25 [get_clocks clk]
set inputs {}
foreach port [all_inputs] {
    if {[get_property $port full_name] ne "clk"} { lappend inputs $port }
}
set_input_delay -max [expr 0.1 * $period] -clock clk $inputs
set_input_delay -min 0.5 -clock clk $inputs
set_output_delay -max [expr 0.1 * $period] -clock clk [all_outputs]
set_output_delay -min 0.0 -clock clk [all_outputs]
set_driving_cell -lib_cell sky130_fd_sc_hd__buf_2 $inputs
set_load 0.05 [all_outputs]
