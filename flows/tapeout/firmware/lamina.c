#include "lamina.h"

enum { END = 0xC0, ESC = 0xDB, ESC_END = 0xDC, ESC_ESC = 0xDD };
enum { HELLO, STATUS, WRITE, READ, EVENTS, OUTPUT };
enum { OK = 0, BUSY = 1 };
enum { TICK = 1, CLEAR = 2 };
enum { REGISTERS = 0, STATE = 2, CONTROL = 9 };
enum { WORDS = 120, BITMAP = 248, ATTEMPTS = 5, LOOKS = 20000, REFUSALS = 100000 };

struct host {
    const struct lamina_bus *bus;
    uint8_t sequence;
    uint32_t held, held_count; /* bytes that do not fill a word yet */
    uint8_t reply[264];
    uint32_t length;
    int escaped, complete;
    uint32_t status;
};

static uint16_t crc_step(uint16_t crc, uint8_t byte) {
    crc ^= (uint16_t)(byte << 8);
    for (int bit = 0; bit < 8; bit++)
        crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    return crc;
}

/* Take a byte of the line; a frame is complete with its closing END. */
static void take(struct host *host, uint8_t byte) {
    if (host->complete) return;
    if (byte == END) {
        uint16_t crc = 0xFFFF;
        for (uint32_t place = 0; place < host->length; place++)
            crc = crc_step(crc, host->reply[place]);
        host->complete = host->length >= 5 && host->length <= sizeof host->reply && crc == 0;
        if (!host->complete) host->length = 0;
        host->escaped = 0;
    } else if (byte == ESC) {
        host->escaped = 1;
    } else {
        if (host->escaped) byte = byte == ESC_END ? END : ESC;
        host->escaped = 0;
        if (host->length < sizeof host->reply) host->reply[host->length] = byte;
        host->length++;
    }
}

/* Look at the port once and take what waits; returns the words that may be written. */
static uint32_t look(struct host *host) {
    uint32_t status = host->bus->read(LAMINA_STATUS);
    uint32_t waiting = status >> 8 & 0xFF;
    while (waiting && !host->complete) {
        uint32_t word = host->bus->read(LAMINA_DATA), count = word >> 24 & 3;
        for (uint32_t byte = 0; byte < count; byte++) take(host, (uint8_t)(word >> 8 * byte));
        waiting = count && waiting > count ? waiting - count : 0;
    }
    return status & 0xFF;
}

static void flush(struct host *host) {
    if (!host->held_count) return;
    for (uint32_t looks = 0; look(host) == 0 && looks < LOOKS; looks++) {}
    host->bus->write(LAMINA_DATA, host->held | host->held_count << 24);
    host->held = host->held_count = 0;
}

static void put(struct host *host, uint8_t byte) {
    host->held |= (uint32_t)byte << 8 * host->held_count++;
    if (host->held_count == 3) flush(host);
}

static void put_stuffed(struct host *host, uint8_t byte, uint16_t *crc) {
    *crc = crc_step(*crc, byte);
    if (byte == END || byte == ESC) {
        put(host, ESC);
        byte = byte == END ? ESC_END : ESC_ESC;
    }
    put(host, byte);
}

static void send(struct host *host, uint8_t opcode, const uint8_t *payload, uint32_t length) {
    uint16_t crc = 0xFFFF;
    put(host, END);
    put_stuffed(host, host->sequence, &crc);
    put_stuffed(host, opcode, &crc);
    for (uint32_t place = 0; place < length; place++) put_stuffed(host, payload[place], &crc);
    uint16_t sum = crc;
    put_stuffed(host, (uint8_t)(sum >> 8), &crc);
    put_stuffed(host, (uint8_t)sum, &crc);
    put(host, END);
    flush(host);
}

/* One request until it is answered; the payload of the reply is at reply + 3, length bytes. */
static int32_t ask(struct host *host, uint8_t opcode, const uint8_t *payload, uint32_t length) {
    for (uint32_t silences = 0, refusals = 0; silences < ATTEMPTS && refusals < REFUSALS;) {
        uint32_t looks = 0;
        host->length = 0;
        host->escaped = host->complete = 0;
        send(host, opcode, payload, length);
        for (; looks < LOOKS; looks++) {
            look(host);
            if (!host->complete) continue;
            if (host->reply[0] == host->sequence && host->reply[1] == (opcode | 0x80)) break;
            host->length = 0;
            host->complete = 0;
        }
        if (looks == LOOKS) {
            silences++;
        } else if (host->reply[2] == BUSY) {
            refusals++;
        } else {
            host->status = host->reply[2];
            host->sequence++;
            host->length -= 5;
            return host->status == OK ? 0 : LAMINA_REFUSED;
        }
    }
    return LAMINA_SILENT;
}

static void place(uint8_t *payload, uint8_t space, uint32_t address) {
    payload[0] = space;
    for (int byte = 0; byte < 3; byte++) payload[1 + byte] = (uint8_t)(address >> 8 * byte);
}

static int32_t write_words(struct host *host, uint8_t space, uint32_t address,
                           const uint16_t *words, uint32_t count) {
    uint8_t payload[4 + 2 * WORDS];
    for (uint32_t done = 0; done < count;) {
        uint32_t part = count - done < WORDS ? count - done : WORDS;
        place(payload, space, address + done);
        for (uint32_t word = 0; word < part; word++) {
            payload[4 + 2 * word] = (uint8_t)words[done + word];
            payload[5 + 2 * word] = (uint8_t)(words[done + word] >> 8);
        }
        int32_t error = ask(host, WRITE, payload, 4 + 2 * part);
        if (error) return error;
        done += part;
    }
    return 0;
}

static int32_t send_timestep(struct host *host, const uint8_t *bitmap, uint32_t bytes,
                             uint8_t kind) {
    uint8_t payload[3 + BITMAP];
    uint32_t done = 0;
    do {
        uint32_t part = bytes - done < BITMAP ? bytes - done : BITMAP;
        payload[0] = done + part == bytes ? kind : 0;
        payload[1] = (uint8_t)(8 * done);
        payload[2] = (uint8_t)(8 * done >> 8);
        for (uint32_t byte = 0; byte < part; byte++) payload[3 + byte] = bitmap[done + byte];
        int32_t error = ask(host, EVENTS, payload, 3 + part);
        if (error) return error;
        done += part;
    } while (done < bytes);
    return 0;
}

static uint16_t reply_word(const struct host *host, uint32_t index) {
    const uint8_t *bytes = host->reply + 3 + 2 * index;
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* Take the output up to the word of `kind`; compare it with `count` words unless that is 0. */
static int32_t take_output(struct host *host, uint8_t kind, const uint16_t *expected,
                           uint32_t count, uint32_t *mismatches) {
    uint8_t most = WORDS;
    uint32_t taken = 0;
    for (uint32_t polls = 0; polls < LOOKS; polls++) {
        int32_t error = ask(host, OUTPUT, &most, 1);
        if (error) return error;
        for (uint32_t index = 0; index < host->length / 2; index++) {
            uint16_t word = reply_word(host, index);
            if (count) *mismatches += taken >= count || word != expected[taken];
            taken++;
            if (word >> 14 == kind) {
                if (count && taken < count) *mismatches += count - taken;
                return 0;
            }
        }
    }
    return LAMINA_SILENT;
}

static int32_t clear(struct host *host) {
    uint32_t unused = 0;
    int32_t error = send_timestep(host, 0, 0, CLEAR);
    return error ? error : take_output(host, CLEAR, 0, 0, &unused);
}

static int32_t compare_membranes(struct host *host, const struct lamina_vectors *vectors,
                                 const uint16_t *expected, uint32_t *mismatches) {
    uint8_t payload[5];
    for (uint32_t done = 0; done < vectors->membrane_words;) {
        uint32_t left = vectors->membrane_words - done, part = left < WORDS ? left : WORDS;
        place(payload, STATE, vectors->membrane_address + done);
        payload[4] = (uint8_t)part;
        int32_t error = ask(host, READ, payload, 5);
        if (error) return error;
        for (uint32_t index = 0; index < part; index++)
            *mismatches += reply_word(host, index) != expected[done + index];
        done += part;
    }
    return 0;
}

static int32_t load(struct host *host, const struct lamina_vectors *vectors) {
    static const uint16_t one = 1;
    int32_t error = ask(host, HELLO, 0, 0);
    for (uint32_t index = 0; !error && index < vectors->blocks; index++) {
        const struct lamina_block *block = vectors->image + index;
        error = write_words(host, block->space, block->address, vectors->words + block->first,
                            block->count);
    }
    if (!error) error = clear(host);
    return error ? error : write_words(host, REGISTERS, CONTROL, &one, 1);
}

static int32_t run(struct host *host, const struct lamina_vectors *vectors,
                   struct lamina_report *report) {
    const uint8_t *bitmap = vectors->bitmaps;
    const uint16_t *counts = vectors->counts, *outputs = vectors->outputs;
    int found = 0;
    for (uint32_t sample = 0; sample < vectors->samples; sample++) {
        uint32_t before = report->membrane_mismatches;
        for (uint32_t timestep = 0; timestep < vectors->timesteps; timestep++) {
            uint32_t wrong = report->event_mismatches;
            if (!found) report->sample = sample, report->timestep = timestep;
            int32_t error = send_timestep(host, bitmap, vectors->bitmap_bytes, TICK);
            if (!error)
                error = take_output(host, TICK, outputs, *counts, &report->event_mismatches);
            if (error) return error;
            found |= report->event_mismatches != wrong;
            report->events += *counts;
            bitmap += vectors->bitmap_bytes;
            outputs += *counts++;
        }
        int32_t error = compare_membranes(host, vectors,
                                          vectors->membranes + sample * vectors->membrane_words,
                                          &report->membrane_mismatches);
        if (!error) error = clear(host);
        if (error) return error;
        found |= report->membrane_mismatches != before;
        report->membranes += vectors->membrane_words;
    }
    return 0;
}

int32_t lamina_selftest(const struct lamina_bus *bus, const struct lamina_vectors *vectors,
                        struct lamina_report *report) {
    struct host host = {.bus = bus};
    *report = (struct lamina_report){0};
    if (bus->read(LAMINA_ID) != 0x4C414D31u)
        report->error = LAMINA_NO_DEVICE;
    else if (bus->read(LAMINA_FINGERPRINT) != vectors->fingerprint)
        report->error = LAMINA_OTHER_DEVICE;
    if (!report->error) report->error = load(&host, vectors);
    if (!report->error) report->error = run(&host, vectors, report);
    report->status = host.status;
    return report->error ? report->error
                         : (int32_t)(report->event_mismatches + report->membrane_mismatches);
}
