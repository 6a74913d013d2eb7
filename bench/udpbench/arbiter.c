/* The reference arbiter of two MoldUDP64 lines with one message a datagram.
 *
 * The next number is forwarded, earlier ones are dropped, later ones held until the other line fills the gap, EXPIRY_NS
 * have passed, or one arrives WINDOW ahead. */
#include "udpbench.h"

#include <endian.h>
#include <string.h>

#define WINDOW 4096
#define RING (2 * WINDOW)  /* twice, so that nothing overwrites what is queued to be sent */
#define EXPIRY_NS 20000000ull

struct arbiter_counts arbiter_counts;

static struct held {
    uint64_t sequence, time_ns;
    size_t bytes;
    uint8_t datagram[MAX_DATAGRAM];
} *ring;
static struct iovec *queue;
static int queued;
static uint64_t next = 1;

void arbiter_open(void)
{
    ring = zeroed(RING, sizeof *ring);
    queue = zeroed((size_t)options.batch, sizeof *queue);
}

void arbiter_flush(void)
{
    if (queued)
        fan_out(queue, queued);
    queued = 0;
}

static void forward(void *datagram, size_t bytes)
{
    queue[queued++] = (struct iovec){ datagram, bytes };
    next++;
    if (queued == options.batch)
        arbiter_flush();
}

static void release(void)
{
    for (struct held *held; (held = &ring[next % RING])->sequence == next; arbiter_counts.held--) {
        forward(held->datagram, held->bytes);
        held->sequence = 0;
    }
}

static struct held *first_held(void)
{
    uint64_t sequence = next;
    while (ring[sequence % RING].sequence != sequence)
        sequence++;
    return &ring[sequence % RING];
}

static void give_up_to(uint64_t sequence)
{
    arbiter_counts.lost += sequence - next;
    next = sequence;
    release();
}

static void hold(struct held *slot, uint64_t sequence, const uint8_t *datagram, size_t bytes, uint64_t time_ns)
{
    slot->sequence = sequence;
    slot->time_ns = time_ns;
    slot->bytes = bytes;
    memcpy(slot->datagram, datagram, bytes);
    arbiter_counts.ahead++;
    arbiter_counts.held++;
}

void arbiter_receive(uint8_t *datagram, size_t bytes, uint64_t time_ns)
{
    uint64_t sequence;
    if (bytes < MOLD_HEADER_BYTES || memcmp(datagram + MOLD_COUNT_AT, "\0\1", 2))
        return;
    memcpy(&sequence, datagram + 10, sizeof sequence);
    sequence = be64toh(sequence);
    while (sequence >= next + WINDOW)
        give_up_to(arbiter_counts.held ? first_held()->sequence : sequence);
    struct held *slot = &ring[sequence % RING];
    if (sequence < next || slot->sequence == sequence) {
        arbiter_counts.duplicate++;
    } else if (sequence == next) {
        forward(datagram, bytes);
        release();
    } else {
        hold(slot, sequence, datagram, bytes, time_ns);
    }
}

void arbiter_expire(uint64_t time_ns)
{
    while (arbiter_counts.held) {
        struct held *held = first_held();
        if (time_ns <= held->time_ns + EXPIRY_NS)
            break;
        give_up_to(held->sequence);
    }
}
