/* Host of a Lamina device behind its Wishbone registers; needs no library and no memory but its own.
 *
 * Registers, 32 bit, at byte addresses from the base:
 *   0  DATA         bits 23..0 three bytes, first one lowest; bits 25..24 how many of them count.
 *                   Writing sends them to the device, reading takes what it answered.
 *   4  STATUS       bits 7..0 words that may be written, 15..8 bytes that wait, 16 idle,
 *                   17 tick_ready, 18 refused, 19 overrun (a word was lost; write 1 to clear).
 *   8  ID           4C414D31h
 *   12 FINGERPRINT  CRC-32 of the configuration that the device was generated with
 */
#ifndef LAMINA_H
#define LAMINA_H

#include <stdint.h>

enum { LAMINA_DATA = 0, LAMINA_STATUS = 4, LAMINA_ID = 8, LAMINA_FINGERPRINT = 12 };

enum {
    LAMINA_NO_DEVICE = -1, /* ID is wrong */
    LAMINA_OTHER_DEVICE = -2, /* FINGERPRINT is not that of the vectors */
    LAMINA_SILENT = -3, /* a request was not answered */
    LAMINA_REFUSED = -4 /* a request was answered with an error */
};

struct lamina_bus {
    uint32_t (*read)(uint32_t address);
    void (*write)(uint32_t address, uint32_t word);
};

struct lamina_block { /* 16-bit words for ascending addresses of a space */
    uint8_t space;
    uint32_t address, count, first;
};

struct lamina_vectors {
    uint32_t fingerprint;
    uint32_t blocks, samples, timesteps, bitmap_bytes, membrane_address, membrane_words;
    const struct lamina_block *image;
    const uint16_t *words; /* of the image */
    const uint8_t *bitmaps; /* samples x timesteps x bitmap_bytes */
    const uint16_t *counts; /* samples x timesteps: words of the output */
    const uint16_t *outputs; /* one after the other, each timestep ends with its TICK */
    const uint16_t *membranes; /* samples x membrane_words */
};

struct lamina_report {
    int32_t error; /* 0, or one of those above; status holds the answer of LAMINA_REFUSED */
    uint32_t status, sample, timestep; /* where it ended, or differed first */
    uint32_t events, event_mismatches, membranes, membrane_mismatches;
};

/* Load the program of `vectors`, run its samples, compare; 0 when all agrees. */
int32_t lamina_selftest(const struct lamina_bus *bus, const struct lamina_vectors *vectors,
                        struct lamina_report *report);

#endif
