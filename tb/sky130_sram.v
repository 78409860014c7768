// Macros of OpenRAM for SkyWater 130, as their data sheet says: port 0 reads or writes, port 1
// reads; what is asked for at the rising edge happens at the falling one, and a port without a
// clock edge keeps its output. A byte that one port writes while the other reads it becomes garbage
// at the reading port; bytes that the write leaves alone are read as by two readers. Nothing is
// initialised to 0; with FOUR_STATE nothing is initialised at all.
/* verilator lint_off DECLFILENAME */
/* verilator tracing_off */
module sky130_sram_32 #(parameter BITS = 9) (
    input  wire            clk0,
    input  wire            csb0,
    input  wire            web0,
    input  wire [3:0]      wmask0,
    input  wire [BITS-1:0] addr0,
    input  wire [31:0]     din0,
    output reg  [31:0]     dout0,
    input  wire            clk1,
    input  wire            csb1,
    input  wire [BITS-1:0] addr1,
    output reg  [31:0]     dout1
);
    reg [31:0] memory [0:(1 << BITS) - 1];
    reg [31:0] fill;
    reg write, read0, read1;
    reg [3:0] mask;
    reg [BITS-1:0] place0, place1;
    reg [31:0] given;
    integer index;
    wire [31:0] touched = {{8{mask[3]}}, {8{mask[2]}}, {8{mask[1]}}, {8{mask[0]}}};

`ifndef FOUR_STATE
    initial begin
        fill = 32'hACE1_2357;
        for (index = 0; index < (1 << BITS); index = index + 1) begin
            fill = {fill[30:0], fill[31] ^ fill[21] ^ fill[1] ^ fill[0]};
            memory[index] = fill;
        end
        dout0 = 32'h5A3C_5A3C;
        dout1 = 32'h3C5A_3C5A;
        write = 0;
        read0 = 0;
        read1 = 0;
    end
`endif

    always @(clk0)
        if (clk0) begin
            write <= !csb0 && !web0;
            read0 <= !csb0 && web0;
            mask <= wmask0;
            place0 <= addr0;
            given <= din0;
        end else begin
            write <= 0;
            read0 <= 0;
            if (write && mask[0]) memory[place0][7:0] <= given[7:0];
            if (write && mask[1]) memory[place0][15:8] <= given[15:8];
            if (write && mask[2]) memory[place0][23:16] <= given[23:16];
            if (write && mask[3]) memory[place0][31:24] <= given[31:24];
            if (read0) dout0 <= memory[place0];
        end

    always @(clk1)
        if (clk1) begin
            read1 <= !csb1;
            place1 <= addr1;
        end else begin
            read1 <= 0;
            if (read1) dout1 <= memory[place1] ^ (write && place0 == place1 ? touched : 32'd0);
        end
endmodule

module sky130_sram_1kbyte_1rw1r_32x256_8 (
    input wire clk0, csb0, web0, clk1, csb1, input wire [3:0] wmask0,
    input wire [7:0] addr0, addr1, input wire [31:0] din0, output wire [31:0] dout0, dout1
);
    sky130_sram_32 #(.BITS(8)) ram (.*);
endmodule

module sky130_sram_2kbyte_1rw1r_32x512_8 (
    input wire clk0, csb0, web0, clk1, csb1, input wire [3:0] wmask0,
    input wire [8:0] addr0, addr1, input wire [31:0] din0, output wire [31:0] dout0, dout1
);
    sky130_sram_32 #(.BITS(9)) ram (.*);
endmodule
