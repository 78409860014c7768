// The device behind a mailbox: Python hands over whole frames and is woken by `bell` once the
// replies are there. An order is given by changing `go`: wait for `condition` (1 tick_ready, 2 idle,
// at most `patience` cycles; 3 no byte for `patience` cycles), send `send_count` bytes, and ring
// after `replies` reply frames, or when no byte moved for `patience` cycles.
// `stall` / 256 is the probability that a side of the byte streams pauses for a cycle.
// The mailbox itself is in no waves.
`timescale 1ns / 1ps

module device_port;
    localparam BYTES = 2560;
    localparam [1:0] READY = 0, WAITING = 1, BUSY = 2, DONE = 3;

    reg clk = 0, rst = 1, go = 0, dump = 0;
    /* verilator tracing_off */
    reg [8*BYTES-1:0] send_data = 0;
    /* verilator tracing_on */
    reg [15:0] send_count = 0, replies = 0;
    reg [1:0] condition = 0;
    reg [31:0] patience = 0;
    reg [7:0] stall = 0;

    reg bell = 0;
    /* verilator tracing_off */
    reg [8*BYTES-1:0] reply_data = 0;
    /* verilator tracing_on */
    reg [15:0] reply_count = 0;

    reg [7:0] outbox [0:BYTES-1];
    reg [7:0] inbox [0:BYTES-1];
    reg [15:0] sent = 0, received = 0, frames = 0;
    reg [31:0] quiet = 0, noise = 1;
    reg [1:0] state = READY;
    reg seen = 0, open_frame = 0;
    integer k;

    wire rx_ready, tx_valid, idle, tick_ready, refused;
    wire [7:0] tx_payload;
    wire rx_valid = state == BUSY && sent != send_count && noise[7:0] >= stall;
    wire tx_ready = (state == WAITING || state == BUSY) && received != BYTES
                    && noise[19:12] >= stall;

    `DEVICE dut (
        .clk(clk), .rst(rst), .idle(idle), .tick_ready(tick_ready), .refused(refused),
        .rx__valid(rx_valid), .rx__ready(rx_ready), .rx__payload(outbox[sent[11:0]]),
        .tx__valid(tx_valid), .tx__ready(tx_ready), .tx__payload(tx_payload)
    );

    wire sending = rx_valid && rx_ready;
    wire receiving = tx_valid && tx_ready;
    wire listening = state == BUSY || condition == 3;
    wire expired = quiet >= patience;
    wire met = condition == 0 || (condition == 1 && tick_ready) || (condition == 2 && idle);
    wire finished = sent == send_count && (expired || frames >= replies);

    always @(posedge clk) begin
        noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
        quiet <= sending || (receiving && listening) ? 0 : quiet + 1;
        if (sending) sent <= sent + 1;
        if (receiving) begin
            inbox[received[11:0]] <= tx_payload;
            received <= received + 1;
            frames <= frames + (tx_payload == 8'hC0 && open_frame);
            open_frame <= tx_payload != 8'hC0;
        end
        case (state)
            READY: if (go != seen) begin
                seen <= go;
                for (k = 0; k < send_count; k = k + 1) outbox[k] <= send_data[8*k +: 8];
                sent <= 0;
                quiet <= 0;
                state <= WAITING;
            end
            WAITING: if (met || expired) begin
                quiet <= 0;
                state <= BUSY;
            end
            BUSY: if (finished) state <= DONE;
            DONE: begin
                for (k = 0; k < received; k = k + 1) reply_data[8*k +: 8] = inbox[k];
                reply_count <= received;
                received <= 0;
                frames <= 0;
                bell <= ~bell;
                state <= READY;
            end
        endcase
    end

`ifdef DUMP
    always @(posedge dump) begin
        $dumpfile("dump.vcd");
        $dumpvars(0, device_port);
    end
`endif
endmodule
