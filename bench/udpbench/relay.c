/* The reference relays: what is received is sent to every receiver; arb-* arbitrate two lines first. */
#include "udpbench.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define READ_TIMEOUT_US 100000
#define IDLE_POLL_MS 100
#define HELD_POLL_MS 5

struct input {
    struct pollfd lines[2];
    int line_count;
    struct mmsghdr *messages;
    struct iovec *datagrams;
    uint64_t received, calls;
};

static int group_socket(const char *group, int port)
{
    int fd = bound_socket(group, port);
    struct timeval timeout = { 0, READ_TIMEOUT_US };
    join_group(fd, group, options.interface);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout))
        die("SO_RCVTIMEO");
    return fd;
}

static void input_open(struct input *input, bool arbitrates)
{
    size_t batch = (size_t)options.batch;
    uint8_t *slots = zeroed(batch, MAX_DATAGRAM);
    *input = (struct input){
        .lines = { { .fd = group_socket(options.group, options.group_port), .events = POLLIN },
                   { .fd = -1, .events = POLLIN } },
        .line_count = arbitrates ? 2 : 1,
        .messages = zeroed(batch, sizeof *input->messages),
        .datagrams = zeroed(batch, sizeof *input->datagrams),
    };
    if (arbitrates)
        input->lines[1].fd = group_socket(options.second_group, options.second_group_port);
    for (size_t i = 0; i < batch; i++) {
        input->datagrams[i].iov_base = slots + i * MAX_DATAGRAM;
        input->messages[i].msg_hdr = (struct msghdr){ .msg_iov = &input->datagrams[i], .msg_iovlen = 1 };
    }
}

/* One batch of a line; 0 when nothing came. */
static int input_read(struct input *input, int line, int flags)
{
    for (int i = 0; i < options.batch; i++)
        input->datagrams[i].iov_len = MAX_DATAGRAM;
    int received = recvmmsg(input->lines[line].fd, input->messages, (unsigned)options.batch, flags, NULL);
    input->calls++;
    if (received <= 0)
        return 0;
    input->received += (uint64_t)received;
    for (int i = 0; i < received; i++)
        input->datagrams[i].iov_len = input->messages[i].msg_len;
    return received;
}

static void forward_plain(struct input *input)
{
    int received = input_read(input, 0, MSG_WAITFORONE);
    if (received)
        fan_out(input->datagrams, received);
}

static void forward_arbitrated(struct input *input)
{
    poll(input->lines, 2, arbiter_counts.held ? HELD_POLL_MS : IDLE_POLL_MS);
    uint64_t now = now_ns();
    for (int line = 0; line < 2; line++) {
        int received = input_read(input, line, MSG_DONTWAIT);
        for (int i = 0; i < received; i++)
            arbiter_receive(input->datagrams[i].iov_base, input->datagrams[i].iov_len, now);
        arbiter_flush();  /* before the slots are read into again */
    }
    arbiter_expire(now);
    arbiter_flush();
}

static void report(const struct input *input)
{
    uint64_t drops = 0;
    for (int line = 0; line < input->line_count; line++)
        drops += socket_drops(input->lines[line].fd);
    printf("{\"command\":\"relay\",\"mode\":\"%s\",\"received\":%llu,\"sent\":%llu,\"socket_drops\":%llu,"
           "\"receive_calls\":%llu,\"send_calls\":%llu,\"mean_received\":%.2f,\"mean_run\":%.2f,"
           "\"duplicate\":%llu,\"ahead\":%llu,\"lost\":%llu,\"cpu_s\":%.3f}\n",
           options.mode, (unsigned long long)input->received, (unsigned long long)fanout_counts.sent,
           (unsigned long long)drops, (unsigned long long)input->calls, (unsigned long long)fanout_counts.calls,
           (double)input->received / (double)(input->calls ? input->calls : 1),
           fanout_counts.runs ? (double)fanout_counts.datagrams / (double)fanout_counts.runs : 1,
           (unsigned long long)arbiter_counts.duplicate, (unsigned long long)arbiter_counts.ahead,
           (unsigned long long)arbiter_counts.lost, cpu_seconds());
}

int command_relay(void)
{
    static const char prefix[] = "arb-";
    bool arbitrates = !strncmp(options.mode, prefix, sizeof prefix - 1);
    struct input input;
    if (!options.group || (arbitrates && !options.second_group))
        refuse("relay: --group is needed, and --second-group to arbitrate");
    fanout_open(options.mode + (arbitrates ? sizeof prefix - 1 : 0));
    if (arbitrates)
        arbiter_open();
    input_open(&input, arbitrates);
    uint64_t end_ns = now_ns() + (uint64_t)(options.seconds * 1e9);
    printf("{\"command\":\"relay\",\"state\":\"ready\"}\n");
    fflush(stdout);
    while (!stopped && now_ns() < end_ns) {
        if (arbitrates)
            forward_arbitrated(&input);
        else
            forward_plain(&input);
    }
    report(&input);
    return 0;
}
