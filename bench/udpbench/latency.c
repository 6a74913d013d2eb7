/* A histogram of latencies: 32 steps an octave, so a percentile is at most 3 % below what was measured. */
#include "udpbench.h"

#include <stdio.h>

#define STEPS 32
#define BUCKETS (32 * STEPS)

static uint64_t buckets[BUCKETS];

void latency_add(uint64_t ns)
{
    unsigned index = (unsigned)ns;
    if (ns >= STEPS) {
        unsigned octave = 63u - (unsigned)__builtin_clzll(ns);
        index = (octave - 4) * STEPS + (unsigned)((ns >> (octave - 5)) & (STEPS - 1));
    }
    buckets[index < BUCKETS ? index : BUCKETS - 1]++;
}

static uint64_t lower_bound(unsigned index)
{
    return index < STEPS ? index : (uint64_t)(STEPS + index % STEPS) << (index / STEPS - 1);
}

static uint64_t percentile_ns(double share)
{
    uint64_t total = 0, below = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        total += buckets[i];
    uint64_t wanted = (uint64_t)((double)total * share);
    for (unsigned i = 0; i < BUCKETS; i++) {
        below += buckets[i];
        if (below > wanted)
            return lower_bound(i);
    }
    return 0;
}

void latency_print(void)
{
    printf("\"latency_ns\":{\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,\"maximum\":%llu}",
           (unsigned long long)percentile_ns(.5), (unsigned long long)percentile_ns(.9),
           (unsigned long long)percentile_ns(.99), (unsigned long long)percentile_ns(.999),
           (unsigned long long)percentile_ns(.9999999));
}
