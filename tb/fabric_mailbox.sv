// The fabric behind files: Python writes what is to be sent and is woken by `bell`, not each cycle.
// An order is given by changing `go`: the 64-bit words of `send.bin` go to the requests, or with
// `sample` to the events, one a cycle where the fabric takes them; what comes back is written to
// `received.txt`, responses or output events. It ends once all is sent and `awaited` responses, or
// output events of the kind `closing`, are there, or when nothing moved for `patience` cycles.
// `span` is the cycles from the first offer to the last of them, both counted.
`timescale 1ns / 1ps

module fabric_mailbox;
    reg clk = 0, rst = 1, go = 0, sample = 0;
    reg [1:0] closing = 0;
    reg [31:0] awaited = 0, patience = 0;

    reg bell = 0, stuck = 0;
    reg [31:0] span = 0, strays = 0;

    reg seen = 0, busy = 0, offered = 0;
    reg [31:0] age = 0, found = 0, quiet = 0;
    reg [63:0] word = 0, next;
    integer source, sink, count;

    wire request_ready, response_valid, events_ready, output_valid;
    wire [15:0] response;
    wire [`OUTPUT_BITS-1:0] told;

    lamina_fabric dut (
        .clk(clk), .rst(rst), .idle(),
        .request__valid(offered && !sample), .request__ready(request_ready),
        .request__payload(word[`REQUEST_BITS-1:0]),
        .response__valid(response_valid), .response__ready(1'b1), .response__payload(response),
        .events__valid(offered && sample), .events__ready(events_ready),
        .events__payload(word[`EVENT_BITS-1:0]),
        .output__valid(output_valid), .output__ready(1'b1), .output__payload(told)
    );

    wire taken = offered && (sample ? events_ready : request_ready);
    wire closed = sample ? output_valid && told[1:0] == closing : response_valid;
    wire expected = busy && sample;

    always @(posedge clk) begin
        if (output_valid && !expected) strays <= strays + 1;
        if (busy) begin
            if (!offered || taken) begin
                count = $fread(next, source);
                word <= next;
                offered <= count == 8;
            end
            if (offered || age != 0) age <= age + 1;
            if (sample && output_valid) $fwrite(sink, "%h\n", told);
            if (!sample && response_valid) $fwrite(sink, "%h\n", response);
            if (closed) begin
                found <= found + 1;
                span <= age + 1;
            end
            quiet <= taken || output_valid || response_valid ? 0 : quiet + 1;
            if ((age != 0 && !offered && found >= awaited) || quiet == patience) begin
                stuck <= quiet == patience;
                $fclose(source);
                $fclose(sink);
                busy <= 0;
                bell <= ~bell;
            end
        end else if (go != seen) begin
            seen <= go;
            source = $fopen("send.bin", "rb");
            sink = $fopen("received.txt", "w");
            age <= 0;
            found <= 0;
            quiet <= 0;
            offered <= 0;
            busy <= 1;
        end
    end
endmodule
