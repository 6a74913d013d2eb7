/* What a datagram holds, and how long it is. */
#include "udpbench.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint16_t *sizes;  /* of --sizes; without it every datagram has options.size bytes */
static size_t size_count;

size_t stamp_offset(void) { return options.mold ? MOLD_HEADER_BYTES + MOLD_LENGTH_BYTES : 0; }

size_t least_size(void) { return stamp_offset() + STAMP_BYTES; }

size_t loaded_sizes(void) { return size_count; }

size_t size_of(uint64_t sequence) { return size_count ? sizes[sequence % size_count] : (size_t)options.size; }

static void add_size(const char *line)
{
    char *end;
    errno = 0;
    long size = strtol(line, &end, 10);
    if (errno || end == line || *end != '\n' || size < 0 || size > MAX_DATAGRAM) {
        fprintf(stderr, "udpbench: %s: not a datagram's size: %s", options.sizes_file, line);
        exit(2);
    }
    if (size < (long)least_size())
        size = (long)least_size();
    if (size > options.size)
        options.size = (int)size;
    if (!(sizes = realloc(sizes, (size_count + 1) * sizeof *sizes)))
        die("realloc");
    sizes[size_count++] = (uint16_t)size;
}

/* Reads options.sizes_file: one size a line, # starts a comment. Sizes without room for the stamp are raised to it, and
 * options.size becomes the longest. */
void load_sizes(void)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(options.sizes_file, "r");
    if (!file)
        die(options.sizes_file);
    options.size = 0;
    while (getline(&line, &room, file) > 0)
        if (line[0] != '#')
            add_size(line);
    free(line);
    fclose(file);
    if (!size_count)
        refuse("the sizes' file holds no size");
}

void write_message(uint8_t *datagram, uint64_t sequence, uint64_t time_ns)
{
    if (options.mold) {
        uint64_t number = htobe64(sequence + 1);
        uint16_t one = htobe16(1);
        uint16_t length = htobe16((uint16_t)(size_of(sequence) - MOLD_HEADER_BYTES - MOLD_LENGTH_BYTES));
        memcpy(datagram, "UDPBENCH  ", 10);
        memcpy(datagram + 10, &number, sizeof number);
        memcpy(datagram + MOLD_COUNT_AT, &one, sizeof one);
        memcpy(datagram + MOLD_HEADER_BYTES, &length, sizeof length);
    }
    memcpy(datagram + stamp_offset(), &sequence, sizeof sequence);
    memcpy(datagram + stamp_offset() + sizeof sequence, &time_ns, sizeof time_ns);
}
