"""cocotb benches on the generated Verilog; they see the golden models, never the RTL sources."""
