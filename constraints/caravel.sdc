# Timing of a user project on Caravel's Wishbone bus; delays of the harness at its slow and fast ends.
create_clock [get_ports wb_clk_i] -name clk -period @{ period_ns }@
set_propagated_clock [get_clocks clk]
set_clock_uncertainty 0.1 [get_clocks clk]
set_clock_latency -source -max 5.57 [get_clocks clk]
set_clock_latency -source -min 4.65 [get_clocks clk]
set_input_transition 0.61 [get_ports wb_clk_i]
set_timing_derate -early 0.95
set_timing_derate -late 1.05

set bus_inputs [get_ports {wbs_cyc_i wbs_stb_i wbs_we_i wbs_sel_i[*] wbs_dat_i[*] wbs_adr_i[*]}]
set_input_delay -max 4.74 -clock [get_clocks clk] $bus_inputs
set_input_delay -min 0.79 -clock [get_clocks clk] $bus_inputs
set_input_delay -max @{ period_ns / 2 }@ -clock [get_clocks clk] [get_ports wb_rst_i]
set_input_delay -min 0.79 -clock [get_clocks clk] [get_ports wb_rst_i]
set_input_transition -max 0.92 $bus_inputs
set_input_transition -min 0.07 $bus_inputs

set_output_delay -max 8.41 -clock [get_clocks clk] [get_ports wbs_ack_o]
set_output_delay -min 1.37 -clock [get_clocks clk] [get_ports wbs_ack_o]
set_output_delay -max 3.62 -clock [get_clocks clk] [get_ports {wbs_dat_o[*]}]
set_output_delay -min 1.13 -clock [get_clocks clk] [get_ports {wbs_dat_o[*]}]
set_load 0.19 [all_outputs]

# Pads, logic analyser and interrupt are read by software.
set_false_path -to [get_ports {io_out[*] io_oeb[*] la_data_out[*] user_irq[*]}]
set_false_path -from [get_ports {io_in[*] la_data_in[*] la_oenb[*] user_clock2}]
