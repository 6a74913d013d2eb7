/* The sender: numbered, stamped datagrams to one address or to two redundant lines, paced in ticks. */
#include "udpbench.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#define MULTICAST_TTL 8
#define GIVE_UP_PACE_NS 50000000ull  /* further behind than this the pace starts anew: what was reached is reported */

struct sender {
    int fd;
    struct sockaddr_in lines[2];
    uint8_t *slots;
    struct iovec *datagrams;
    struct mmsghdr *messages;
    uint64_t sequence, sent, calls;
};

static void sender_open(struct sender *sender)
{
    size_t batch = (size_t)options.batch, slot = (size_t)options.size;
    *sender = (struct sender){
        .fd = socket(AF_INET, SOCK_DGRAM, 0),
        .lines = { socket_address(options.destination, options.port),
                   socket_address(options.second_destination, options.second_port) },
        .slots = zeroed(batch, slot),
        .datagrams = zeroed(batch, sizeof *sender->datagrams),
        .messages = zeroed(batch, sizeof *sender->messages),
    };
    if (sender->fd < 0)
        die("socket");
    for (size_t i = 0; i < batch; i++) {
        sender->datagrams[i] = (struct iovec){ sender->slots + i * slot, slot };
        sender->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &sender->lines[0], .msg_namelen = sizeof sender->lines[0],
            .msg_iov = &sender->datagrams[i], .msg_iovlen = 1,
        };
    }
}

static void leave_by(int fd, const char *interface)
{
    struct in_addr local = socket_address(interface, 0).sin_addr;
    unsigned char ttl = MULTICAST_TTL, loop = 0;
    if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &local, sizeof local) ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, sizeof loop))
        die("multicast options");
}

static void send_batch(struct sender *sender, int count)
{
    uint64_t time_ns = now_ns();
    for (int i = 0; i < count; i++) {
        uint64_t sequence = sender->sequence + (uint64_t)i;
        sender->datagrams[i].iov_len = size_of(sequence);
        write_message(sender->datagrams[i].iov_base, sequence, time_ns);
    }
    if (options.second_destination) {
        sender->sent += (uint64_t)send_lines(sender->fd, sender->lines, sender->datagrams, count, sender->sequence);
        sender->calls += 2;
    } else {
        sender->sent += (uint64_t)send_all(sender->fd, sender->messages, count);
        sender->calls++;
    }
    sender->sequence += (uint64_t)count;
}

/* Waits for the tick after *next_ns; a rate of 0 never waits. */
static void wait_for_tick(uint64_t *next_ns)
{
    if (!options.rate_pps)
        return;
    *next_ns += (uint64_t)options.tick_us * 1000;
    uint64_t now = now_ns();
    if (*next_ns > now) {
        struct timespec until = { (time_t)(*next_ns / 1000000000ull), (long)(*next_ns % 1000000000ull) };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    } else if (now - *next_ns > GIVE_UP_PACE_NS) {
        *next_ns = now;
    }
}

static void report(const struct sender *sender, double seconds)
{
    printf("{\"command\":\"send\",\"sizes\":%zu,\"longest_bytes\":%d,\"rate_pps\":%ld,\"seconds\":%.3f,"
           "\"messages\":%llu,\"messages_pps\":%.0f,\"sent\":%llu,\"kept_a\":%llu,\"kept_b\":%llu,"
           "\"calls\":%llu,\"cpu_s\":%.3f}\n",
           loaded_sizes(), options.size, options.rate_pps, seconds, (unsigned long long)sender->sequence,
           (double)sender->sequence / seconds, (unsigned long long)sender->sent, (unsigned long long)kept_by_line[0],
           (unsigned long long)kept_by_line[1], (unsigned long long)sender->calls, cpu_seconds());
}

int command_send(void)
{
    struct sender sender;
    sender_open(&sender);
    if (options.interface)
        leave_by(sender.fd, options.interface);
    uint64_t start = now_ns(), end = start + (uint64_t)(options.seconds * 1e9), next = start;
    double per_tick = (double)options.rate_pps * (double)options.tick_us / 1e6, credit = 0;
    while (!stopped && now_ns() < end && (!options.count || (long)sender.sequence < options.count)) {
        long quota = options.batch;
        if (options.rate_pps) {
            credit += per_tick;
            quota = (long)credit;
            credit -= (double)quota;
        }
        if (options.count && quota > options.count - (long)sender.sequence)
            quota = options.count - (long)sender.sequence;
        while (quota > 0) {
            int count = quota < options.batch ? (int)quota : options.batch;
            send_batch(&sender, count);
            quota -= count;
        }
        wait_for_tick(&next);
    }
    report(&sender, (double)(now_ns() - start) / 1e9);
    return 0;
}
