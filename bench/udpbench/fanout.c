/* How the reference relays send: one call a datagram and receiver, one call a batch, or segmentation offload. */
#include "udpbench.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define SEGMENTS 64          /* UDP_MAX_SEGMENTS of Linux before 6.9: what every kernel takes */
#define SEGMENTED_BYTES 65000

struct fanout_counts fanout_counts;

static int fd;
static struct sockaddr_in receivers[MAX_FANOUT];
static struct mmsghdr *messages;
static void (*send_batch)(struct iovec *datagrams, int count);

static uint64_t calls_for(int messages_count) { return (uint64_t)(messages_count + MAX_PER_CALL - 1) / MAX_PER_CALL; }

static struct msghdr to_receiver(int receiver, struct iovec *datagrams, int count)
{
    return (struct msghdr){ .msg_name = &receivers[receiver], .msg_namelen = sizeof receivers[receiver],
                            .msg_iov = datagrams, .msg_iovlen = (size_t)count };
}

static void send_one_by_one(struct iovec *datagrams, int count)
{
    for (int i = 0; i < count; i++)
        for (int receiver = 0; receiver < options.fanout; receiver++) {
            const struct sockaddr *to = (const struct sockaddr *)&receivers[receiver];
            fanout_counts.calls++;
            /* A refused datagram is a loss, which the sink will see. */
            if (sendto(fd, datagrams[i].iov_base, datagrams[i].iov_len, 0, to, sizeof receivers[receiver]) >= 0)
                fanout_counts.sent++;
        }
}

static void send_many(struct iovec *datagrams, int count)
{
    int filled = 0;
    for (int i = 0; i < count; i++)
        for (int receiver = 0; receiver < options.fanout; receiver++)
            messages[filled++].msg_hdr = to_receiver(receiver, &datagrams[i], 1);
    fanout_counts.sent += (uint64_t)send_all(fd, messages, filled);
    fanout_counts.calls += calls_for(filled);
}

/* One segmented send a receiver: datagrams of equal size, of which the last may be shorter (udp(7), UDP_SEGMENT). */
static void send_run(struct iovec *datagrams, int count)
{
    static union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr header;
    } control;
    uint16_t segment = (uint16_t)datagrams[0].iov_len;
    control.header = (struct cmsghdr){
        .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof segment)
    };
    memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
    for (int receiver = 0; receiver < options.fanout; receiver++) {
        messages[receiver].msg_hdr = to_receiver(receiver, datagrams, count);
        if (count > 1) {
            messages[receiver].msg_hdr.msg_control = control.bytes;
            messages[receiver].msg_hdr.msg_controllen = sizeof control.bytes;
        }
    }
    fanout_counts.sent += (uint64_t)send_all(fd, messages, options.fanout) * (uint64_t)count;
    fanout_counts.calls += calls_for(options.fanout);
    fanout_counts.runs++;
}

static int run_length(const struct iovec *datagrams, int count)
{
    size_t segment = datagrams[0].iov_len, total = segment;
    int length = 1;
    while (length < count && length < SEGMENTS && datagrams[length - 1].iov_len == segment &&
           datagrams[length].iov_len <= segment && total + datagrams[length].iov_len <= SEGMENTED_BYTES)
        total += datagrams[length++].iov_len;
    return length;
}

static void send_runs(struct iovec *datagrams, int count)
{
    for (int i = 0, length; i < count; i += length) {
        length = run_length(datagrams + i, count - i);
        send_run(datagrams + i, length);
    }
}

void fanout_open(const char *how)
{
    struct sockaddr_in first = socket_address(options.destination, options.port);
    if (!strcmp(how, "sendto"))
        send_batch = send_one_by_one;
    else if (!strcmp(how, "sendmmsg"))
        send_batch = send_many;
    else if (!strcmp(how, "gso"))
        send_batch = send_runs;
    else
        refuse("--mode: expected sendto, sendmmsg, gso, arb-sendmmsg or arb-gso");
    if ((fd = socket(AF_INET, SOCK_DGRAM, 0)) < 0)
        die("socket");
    for (int i = 0; i < options.fanout; i++) {
        receivers[i] = first;
        receivers[i].sin_addr.s_addr = htonl(ntohl(first.sin_addr.s_addr) + (uint32_t)i);
    }
    messages = zeroed((size_t)options.batch * (size_t)options.fanout, sizeof *messages);
}

void fan_out(struct iovec *datagrams, int count)
{
    fanout_counts.datagrams += (uint64_t)count;
    send_batch(datagrams, count);
}
