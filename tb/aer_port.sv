// A camera before the bridge and a core behind it. The sender lives on a clock of its own and, like
// the receiver, draws its addresses and pauses from shift registers, so that no event needs the
// attention of the simulator's host. `pause` / 256 is the probability of waiting for another cycle.
`timescale 1ps / 1ps

module aer_port;
    reg clk = 0, fast = 0, rst = 1, run = 0, raw = 0;
    reg [31:0] wanted = 0;
    reg [7:0] sender_pause = 0, receiver_pause = 0;
    reg tick_stb = 0, clear_stb = 0;

    reg [31:0] sent = 0, received = 0, errors = 0, ticks = 0, clears = 0, cycles = 0;
    reg [31:0] noise = 32'h1234567, ready_noise = 32'h89abcde;
    reg [12:0] next_out = 1, next_in = 1;
    reg req = 0;
    reg [12:0] address = 0;
    wire ack, raw_ready, events_valid, taken, dropped;
    wire [14:0] payload;
    wire events_ready = ready_noise[15:8] >= receiver_pause;
    wire raw_valid = raw && run && sent != wanted && noise[23:16] >= sender_pause;

    function [12:0] following(input [12:0] value);
        following = {value[11:0], value[12] ^ value[3] ^ value[2] ^ value[0]};
    endfunction

    function [31:0] shuffled(input [31:0] value);
        shuffled = {value[30:0], value[31] ^ value[21] ^ value[1] ^ value[0]};
    endfunction

    `BRIDGE dut (
        .clk(clk), .rst(rst), .req(req), .address(address), .ack(ack),
        .raw__valid(raw_valid), .raw__ready(raw_ready), .raw__payload(next_out),
        .tick_stb(tick_stb), .clear_stb(clear_stb), .events__valid(events_valid),
        .events__ready(events_ready), .events__payload(payload),
        .taken_stb(taken), .dropped_stb(dropped)
    );

    wire raw_taken = raw_valid && raw_ready;

    // In raw mode the sender belongs to the core's clock: `fast` is then driven alike.
    always @(posedge fast)
        if (rst) begin
            {req, sent, next_out, noise} <= {1'b0, 32'd0, 13'd1, 32'h1234567};
        end else begin
            noise <= shuffled(noise);
            if (raw && raw_taken || !raw && run && noise[7:0] >= sender_pause && !req && !ack
                && sent != wanted) begin
                req <= !raw;
                address <= next_out;
                next_out <= following(next_out);
                sent <= sent + 1;
            end else if (req && ack && noise[7:0] >= sender_pause) begin
                req <= 0;
                address <= ~address;
            end
        end

    always @(posedge clk)
        if (rst) begin
            {received, errors, ticks, clears, cycles} <= 0;
            {next_in, ready_noise} <= {13'd1, 32'h89abcde};
        end else begin
            ready_noise <= shuffled(ready_noise);
            if (run && received != wanted)
                cycles <= cycles + 1;
            if (events_valid && events_ready)
                case (payload[1:0])
                    0: begin
                        received <= received + 1;
                        next_in <= following(next_in);
                        if (payload[14:2] != next_in)
                            errors <= errors + 1;
                    end
                    1: ticks <= ticks + 1;
                    2: clears <= clears + 1;
                    default: errors <= errors + 1;
                endcase
            if (dropped)
                errors <= errors + 1;
        end
endmodule
