// Replays a host's conversation with a device in a four-state simulator, from unknown contents on.
// SCRIPT (hex): for every exchange the number of bytes to send, these, the number of bytes that must
// come back, and these; FFFFFFFF ends it. An exchange begins once the device is idle.
`timescale 1ns / 1ps

module four_state;
    localparam PATIENCE = 2000000;

    reg clk = 0, rst = 1, rx_valid = 0;
    reg [7:0] rx_payload;
    wire rx_ready, tx_valid, idle, tick_ready, refused;
    wire [7:0] tx_payload;
    reg [31:0] script [0:`SCRIPT_WORDS-1];
    integer at = 0, left = 0, quiet = 0, sent = 0, compared = 0, cycles = 0, waited = 0;

    `DEVICE dut (
        .clk(clk), .rst(rst), .idle(idle), .tick_ready(tick_ready), .refused(refused),
        .rx__valid(rx_valid), .rx__ready(rx_ready), .rx__payload(rx_payload),
        .tx__valid(tx_valid), .tx__ready(1'b1), .tx__payload(tx_payload)
    );

    task fail(input [8*40-1:0] what);
        begin
            $display("FAIL %0s, cycle %0d, byte %0d", what, cycles, compared);
            $finish;
        end
    endtask

    // One period: inputs change while the clock is low, outputs are read just before it rises.
    task period;
        begin
            #5 clk = 1;
            #5 clk = 0;
            cycles = cycles + 1;
            waited = waited + 1;
            #4;
            if (waited > PATIENCE) fail("no answer");
            if (!rst && (rx_ready === 1'bx || tx_valid === 1'bx)) fail("unknown handshake");
        end
    endtask

    initial begin
        $readmemh(`SCRIPT, script);
        repeat (4) period;
        rst = 0;
        while (script[at] !== 32'hFFFFFFFF) begin
            waited = 0;
            quiet = 0;
            while (quiet < 16) begin
                period;
                quiet = idle === 1'b1 && tx_valid === 1'b0 ? quiet + 1 : 0;
            end
            left = script[at];
            at = at + 1;
            while (left > 0) begin
                rx_valid = 1;
                rx_payload = script[at];
                #1;
                while (rx_ready !== 1'b1) period;
                period;
                waited = 0;
                at = at + 1;
                left = left - 1;
                sent = sent + 1;
            end
            rx_valid = 0;
            left = script[at];
            at = at + 1;
            while (left > 0) begin
                if (tx_valid === 1'b1) begin
                    if (tx_payload !== script[at]) fail("another byte than expected");
                    at = at + 1;
                    left = left - 1;
                    compared = compared + 1;
                end
                period;
            end
        end
        $display("PASS %0d bytes sent, %0d compared, %0d cycles", sent, compared, cycles);
        $finish;
    end
endmodule
