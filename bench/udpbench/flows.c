/* What each receiver got: how many messages, and which of them twice, out of order or never.
 *
 * Receivers are told apart by the last 12 bits of their address. A number that comes late is a duplicate or out of order
 * as long as it is at most WINDOW behind; one further behind counts as a duplicate. */
#include "udpbench.h"

#include <arpa/inet.h>
#include <stdio.h>

#define FLOWS 4096
#define WINDOW 4096
#define WORD_BITS 64

static struct flow {
    uint32_t receiver;
    uint64_t next, received, duplicate, disordered, missing;
    uint64_t seen[WINDOW / WORD_BITS];
} *flows;

void flows_open(void) { flows = zeroed(FLOWS, sizeof *flows); }

static uint64_t *word_of(struct flow *flow, uint64_t sequence) { return &flow->seen[sequence % WINDOW / WORD_BITS]; }

static uint64_t bit_of(uint64_t sequence) { return 1ull << sequence % WORD_BITS; }

void flow_add(uint32_t receiver, uint64_t sequence)
{
    struct flow *flow = &flows[receiver % FLOWS];
    flow->receiver = receiver;
    flow->received++;
    if (sequence >= flow->next) {
        flow->missing += sequence - flow->next;
        for (uint64_t skipped = flow->next; skipped < sequence && skipped < flow->next + WINDOW; skipped++)
            *word_of(flow, skipped) &= ~bit_of(skipped);
        flow->next = sequence + 1;
    } else if (flow->next - sequence > WINDOW || *word_of(flow, sequence) & bit_of(sequence)) {
        flow->duplicate++;
    } else {
        flow->disordered++;
        flow->missing--;
    }
    *word_of(flow, sequence) |= bit_of(sequence);
}

void flows_print(void)
{
    const char *separator = "";
    printf("\"receivers\":[");
    for (int i = 0; flows && i < FLOWS; i++) {
        const struct flow *flow = &flows[i];
        struct in_addr address = { htonl(flow->receiver) };
        if (!flow->received)
            continue;
        printf("%s{\"address\":\"%s\",\"received\":%llu,\"duplicate\":%llu,\"disordered\":%llu,\"missing\":%llu}",
               separator, inet_ntoa(address), (unsigned long long)flow->received, (unsigned long long)flow->duplicate,
               (unsigned long long)flow->disordered, (unsigned long long)flow->missing);
        separator = ",";
    }
    printf("]");
}
