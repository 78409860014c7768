// Self-checking bench of [[ core ]]: replays the vectors of a golden run, needs no other tool.
//
//   $ iverilog -g2005 -o bench [[ sources ]] && vvp bench
//   $ verilator --binary --timing -Wno-fatal --top-module [[ bench ]] [[ sources ]] && obj_dir/V[[ bench ]]
//
// Prints one line that starts with PASS or FAIL. Run it where the .hex files are.
`timescale 1ns / 1ps
module [[ bench ]];
    localparam STEPS = [[ steps ]];
    localparam EXPECTED = [[ expected ]];
    localparam TIMEOUT = [[ timeout ]];

    // A step: what (4), space (4), address (20), mask (16), data (16).
    // An event: kind in data bits 1..0, axon in the address.
    localparam [3:0] WRITE = 4'd1, CHECK = 4'd2, EVENT = 4'd3, WAIT = 4'd4;

    reg [59:0] steps [0:STEPS-1];
    reg [[ output_vector ]] expected [0:EXPECTED-1];

    reg clk, rst;
    reg events_valid, request_valid, output_ready;
    reg [[ event_vector ]] events_payload;
    reg [40:0] request_payload;
    wire events_ready, request_ready, output_valid, response_valid, idle;
    wire [15:0] response_payload;
    wire [[ output_vector ]] output_payload;

    [[ core ]] core (
        .clk(clk), .rst(rst),
        .events__payload(events_payload), .events__valid(events_valid),
        .events__ready(events_ready),
        .output__payload(output_payload), .output__valid(output_valid),
        .output__ready(output_ready),
        .request__payload(request_payload), .request__valid(request_valid),
        .request__ready(request_ready),
        .response__payload(response_payload), .response__valid(response_valid),
        .response__ready(1'b1),
        .idle(idle), .tick_ready(), .refused()
    );

    integer step, seen, answers, checks, errors, waited;
    reg [59:0] now;
    reg [15:0] noise, answer;
    reg taken;

    task fail;
        input [40*8:1] what;
        input integer position;
        input [31:0] want, got;
        begin
            errors = errors + 1;
            if (errors <= 10)
                $display("%0s %0d: expected %h, got %h", what, position, want, got);
        end
    endtask

    // Everything is driven at the falling edge and looked at before the rising one.
    task next_cycle;
        begin
            @(negedge clk);
            #1;
            waited = waited + 1;
            if (waited > TIMEOUT) begin
                $display("FAIL: step %0d of %0d took more than %0d cycles, %0d of %0d events seen",
                         step, STEPS, TIMEOUT, seen, EXPECTED);
                $finish;
            end
        end
    endtask

    task request;
        input write;
        begin
            request_payload = {now[15:0], now[51:32], now[55:52], write};
            request_valid = 1'b1;
            #1 taken = request_ready;
            while (!taken) begin
                next_cycle;
                taken = request_ready;
            end
            next_cycle;
            request_valid = 1'b0;
        end
    endtask

    task check;
        begin
            request(1'b0);
            while (answers == checks) next_cycle;
            checks = checks + 1;
            if (((answer ^ now[15:0]) & now[31:16]) !== 16'd0)
                fail("memory word of step", step, {16'd0, now[15:0]}, {16'd0, answer});
        end
    endtask

    task event_;
        begin
            events_payload = {now[[ axon_slice ]], now[1:0]};
            events_valid = 1'b1;
            #1 taken = events_ready;
            while (!taken) begin
                next_cycle;
                taken = events_ready;
            end
            next_cycle;
            events_valid = 1'b0;
        end
    endtask

    task run_step;
        begin
            waited = 0;
            now = steps[step];
            case (now[59:56])
                WRITE: request(1'b1);
                CHECK: check;
                EVENT: event_;
                WAIT: begin
                    next_cycle;
                    while (!idle) next_cycle;
                end
                default: fail("unknown step", step, 32'd0, {28'd0, now[59:56]});
            endcase
        end
    endtask

    initial begin
        clk = 1'b0;
        forever #5 clk = ~clk;
    end

    // A response may come in the cycle that takes the request.
    always @(negedge clk) begin
        #2;
        if (!rst && response_valid) begin
            answer = response_payload;
            answers = answers + 1;
        end
    end

    // Output is taken in three of four cycles, at random.
    always @(negedge clk) begin
        noise = {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
        output_ready = !rst && noise[1:0] != 2'd0;
        #2;
        if (output_ready && output_valid) begin
            if (seen >= EXPECTED)
                fail("event too many", seen, 32'd0, {[[ padding ]]'d0, output_payload});
            else if (output_payload !== expected[seen])
                fail("event", seen, {[[ padding ]]'d0, expected[seen]},
                     {[[ padding ]]'d0, output_payload});
            seen = seen + 1;
        end
    end

    initial begin
        $readmemh("[[ steps_file ]]", steps);
        $readmemh("[[ expected_file ]]", expected);
        events_valid = 1'b0;
        events_payload = 0;
        request_valid = 1'b0;
        request_payload = 41'd0;
        output_ready = 1'b0;
        noise = 16'hACE1;
        step = 0;
        seen = 0;
        answers = 0;
        checks = 0;
        errors = 0;
        waited = 0;
        rst = 1'b1;
        repeat (4) next_cycle;
        rst = 1'b0;
        for (step = 0; step < STEPS; step = step + 1) run_step;
        repeat (64) next_cycle;
        if (seen != EXPECTED) fail("number of events", EXPECTED, EXPECTED, seen);
        if (errors == 0) $display("PASS: %0d events and %0d memory words as expected", seen, checks);
        else $display("FAIL: %0d differences in %0d events and %0d memory words",
                      errors, seen, checks);
        $finish;
    end
endmodule
