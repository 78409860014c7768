// SB_SPRAM256KA, 16384 x 16 bit, single port: what a design may rely on, and garbage elsewhere.
//
// Reading (CHIPSELECT, WREN low): DATAOUT one clock later, held until the next access.
// Writing (CHIPSELECT, WREN): the nibbles that MASKWREN selects; DATAOUT becomes garbage.
// STANDBY: contents kept, an access is ignored; every clock turns DATAOUT into garbage.
// SLEEP: contents kept, DATAOUT is 0 at once; an access during the WAKE_CYCLES clocks after it
// is ignored and turns DATAOUT into garbage. POWEROFF (active low): like SLEEP, and the contents
// are lost. With the macro SPRAM_REPORT each memory tells at the end how long it rested.
// Garbage is pseudo-random and the same in every simulator, so that reliance on it is a mismatch
// also where there are two states only. Nothing is initialised to 0.
/* verilator lint_off DECLFILENAME */
module SB_SPRAM256KA (
    input  wire [13:0] ADDRESS,
    input  wire [15:0] DATAIN,
    input  wire [3:0]  MASKWREN,
    input  wire        WREN,
    input  wire        CHIPSELECT,
    input  wire        CLOCK,
    input  wire        STANDBY,
    input  wire        SLEEP,
    input  wire        POWEROFF,
    output reg  [15:0] DATAOUT
);
    // SLEEP has to end 41.505 ns before the clock (timing data of Project IceStorm): two clocks up
    // to 48 MHz.
    localparam [1:0] WAKE_CYCLES = 2'd2;

    reg [15:0] memory [0:16383];
    reg [15:0] noise;
    reg [15:0] fill;
    reg [1:0]  waking;
    integer    index;

    wire off = SLEEP | ~POWEROFF;
    wire blocked = STANDBY | (waking != 2'd0);
    wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};

    task scramble;
        begin
            fill = 16'hACE1;
            for (index = 0; index < 16384; index = index + 1) begin
                fill = {fill[14:0], fill[15] ^ fill[13] ^ fill[12] ^ fill[10]};
                memory[index] = fill;
            end
        end
    endtask

    initial begin
        scramble;
        noise = 16'h5A3C;
        DATAOUT = 16'h5A3C;
        waking = 2'd0;
    end

    always @(negedge POWEROFF) scramble;

`ifdef SPRAM_REPORT
    integer clocks = 0, standing_by = 0, sleeping = 0;
    always @(posedge CLOCK) begin
        clocks <= clocks + 1;
        if (STANDBY) standing_by <= standing_by + 1;
        if (SLEEP) sleeping <= sleeping + 1;
    end
    final $display("%m: %0d clocks, %0d in STANDBY, %0d in SLEEP", clocks, standing_by, sleeping);
`endif

    always @(posedge CLOCK or posedge off)
        if (off) begin
            DATAOUT <= 16'd0;
            waking <= WAKE_CYCLES;
        end else begin
            if (waking != 2'd0) waking <= waking - 2'd1;
            if (STANDBY || CHIPSELECT) begin
                noise <= {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
                if (blocked || WREN) DATAOUT <= noise;
                else DATAOUT <= memory[ADDRESS];
                if (WREN && !blocked)
                    memory[ADDRESS] <= (memory[ADDRESS] & ~mask) | (DATAIN & mask);
            end
        end
endmodule
