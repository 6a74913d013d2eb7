/* The sink: counts messages, their latency and, with --check, each receiver's numbers.
 *
 * With --mold each message block of a MoldUDP64 packet counts, however many one datagram holds, so that a relay which
 * packs messages anew is measured by the same figure as one that forwards datagrams. Heartbeats (count 0) and the end of
 * a session (count 0xffff) hold no message. */
#include "udpbench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_NS 400000000ull  /* after the first datagram: the sender is done and nothing is on its way */
#define POLL_MS 50
#define CONTROL_BYTES 64

static struct {
    uint64_t messages, datagrams, bytes, heartbeats, malformed, calls, first_ns, last_ns;
} counts;

struct arrival {
    uint64_t time_ns;
    uint32_t receiver;
};

static void count_message(const uint8_t *message, size_t bytes, struct arrival arrival)
{
    uint64_t sequence, sent_ns;
    counts.messages++;
    if (bytes < STAMP_BYTES)
        return;
    memcpy(&sequence, message, sizeof sequence);
    memcpy(&sent_ns, message + sizeof sequence, sizeof sent_ns);
    latency_add(arrival.time_ns > sent_ns ? arrival.time_ns - sent_ns : 0);
    if (options.check)
        flow_add(arrival.receiver, sequence);
}

static uint16_t big_endian_16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static void count_mold_packet(const uint8_t *packet, size_t bytes, struct arrival arrival)
{
    uint16_t messages = bytes < MOLD_HEADER_BYTES ? 0 : big_endian_16(packet + MOLD_COUNT_AT);
    size_t at = MOLD_HEADER_BYTES;
    if (bytes < MOLD_HEADER_BYTES) {
        counts.malformed++;
    } else if (!messages || messages == MOLD_END_OF_SESSION) {
        counts.heartbeats++;
    } else {
        for (; messages; messages--) {
            size_t length = at + MOLD_LENGTH_BYTES <= bytes ? big_endian_16(packet + at) : bytes;
            if (at + MOLD_LENGTH_BYTES + length > bytes)
                break;
            count_message(packet + at + MOLD_LENGTH_BYTES, length, arrival);
            at += MOLD_LENGTH_BYTES + length;
        }
        counts.malformed += messages != 0;
    }
}

static uint32_t receiver_of(struct msghdr *header)
{
    struct in_pktinfo information = { 0 };
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control))
        if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO)
            memcpy(&information, CMSG_DATA(control), sizeof information);
    return ntohl(information.ipi_addr.s_addr);
}

/* --interface may list several addresses, comma-separated: a leg of multicast routing each. */
static int sink_socket(void)
{
    int fd = bound_socket(options.bind_address, options.port), one = 1;
    if (options.group) {
        char *list = strdup(options.interface ? options.interface : "0.0.0.0"), *rest = NULL;
        for (char *address = strtok_r(list, ",", &rest); address; address = strtok_r(NULL, ",", &rest))
            join_group(fd, options.group, address);
        free(list);
    }
    if (options.check && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one))
        die("IP_PKTINFO");
    return fd;
}

static void count_batch(struct mmsghdr *messages, int received)
{
    struct arrival arrival = { .time_ns = now_ns() };
    if (!counts.first_ns)
        counts.first_ns = arrival.time_ns;
    counts.last_ns = arrival.time_ns;
    for (int i = 0; i < received; i++) {
        const uint8_t *datagram = messages[i].msg_hdr.msg_iov->iov_base;
        size_t bytes = messages[i].msg_len;
        counts.datagrams++;
        counts.bytes += bytes;
        if (options.check)
            arrival.receiver = receiver_of(&messages[i].msg_hdr);
        if (options.mold)
            count_mold_packet(datagram, bytes, arrival);
        else
            count_message(datagram, bytes, arrival);
    }
}

static void receive_until(int fd, uint64_t end_ns)
{
    size_t batch = (size_t)options.batch;
    uint8_t *slots = zeroed(batch, MAX_DATAGRAM), (*control)[CONTROL_BYTES] = zeroed(batch, CONTROL_BYTES);
    struct mmsghdr *messages = zeroed(batch, sizeof *messages);
    struct iovec *datagrams = zeroed(batch, sizeof *datagrams);
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    for (size_t i = 0; i < batch; i++) {
        datagrams[i] = (struct iovec){ slots + i * MAX_DATAGRAM, MAX_DATAGRAM };
        messages[i].msg_hdr = (struct msghdr){ .msg_iov = &datagrams[i], .msg_iovlen = 1 };
    }
    while (!stopped) {
        uint64_t now = now_ns();
        if (now >= end_ns || (counts.last_ns && now - counts.last_ns > SILENCE_NS))
            break;
        if (poll(&readable, 1, POLL_MS) <= 0)
            continue;
        for (size_t i = 0; options.check && i < batch; i++) {
            messages[i].msg_hdr.msg_control = control[i];
            messages[i].msg_hdr.msg_controllen = CONTROL_BYTES;
        }
        int received = recvmmsg(fd, messages, (unsigned)batch, MSG_DONTWAIT, NULL);
        counts.calls++;
        if (received > 0)
            count_batch(messages, received);
    }
}

static void report(int fd)
{
    double seconds = counts.last_ns > counts.first_ns ? (double)(counts.last_ns - counts.first_ns) / 1e9 : 1e-9;
    printf("{\"command\":\"receive\",\"messages\":%llu,\"datagrams\":%llu,\"bytes\":%llu,\"heartbeats\":%llu,"
           "\"malformed\":%llu,\"seconds\":%.3f,\"messages_pps\":%.0f,\"socket_drops\":%u,\"calls\":%llu,"
           "\"cpu_s\":%.3f,",
           (unsigned long long)counts.messages, (unsigned long long)counts.datagrams, (unsigned long long)counts.bytes,
           (unsigned long long)counts.heartbeats, (unsigned long long)counts.malformed, seconds,
           (double)counts.messages / seconds, socket_drops(fd), (unsigned long long)counts.calls, cpu_seconds());
    latency_print();
    printf(",");
    flows_print();
    printf("}\n");
}

int command_receive(void)
{
    if (options.check)
        flows_open();
    int fd = sink_socket();
    uint64_t end_ns = now_ns() + (uint64_t)(options.seconds * 1e9);
    printf("{\"command\":\"receive\",\"state\":\"ready\"}\n");
    fflush(stdout);
    receive_until(fd, end_ns);
    report(fd);
    return 0;
}
