/* Two redundant lines: every batch goes to line A, then to line B, each less its own losses.
 *
 * Losses are drawn from options.seed. What both lines would lose line B keeps, and neither loses the first datagram: what
 * the two carry together is complete. */
#include "udpbench.h"

uint64_t kept_by_line[2];

/* xorshift64* (Vigna 2016); one draw for each line and datagram, A's before B's, so that a seed gives the same losses
 * in every run and in every version of this tool */
static bool drawn(int permille)
{
    static uint64_t state;
    if (!state)
        state = (uint64_t)options.seed * 2 + 1;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (int)(((state * 0x2545f4914f6cdd1dull) >> 33) % 1000) < permille;
}

long send_lines(int fd, const struct sockaddr_in lines[2], struct iovec *datagrams, int count, uint64_t first_sequence)
{
    static struct mmsghdr kept[2][MAX_BATCH];
    int counts[2] = { 0, 0 };
    long sent = 0;
    for (int i = 0; i < count; i++) {
        bool a = drawn(options.loss_a_permille), b = drawn(options.loss_b_permille);
        bool first = first_sequence + (uint64_t)i == 0;
        bool lost[2] = { a && !first, b && !a && !first };
        for (int line = 0; line < 2; line++)
            if (!lost[line])
                kept[line][counts[line]++].msg_hdr = (struct msghdr){
                    .msg_name = (void *)&lines[line], .msg_namelen = sizeof lines[line],
                    .msg_iov = &datagrams[i], .msg_iovlen = 1,
                };
    }
    for (int line = 0; line < 2; line++) {
        kept_by_line[line] += (uint64_t)counts[line];
        sent += send_all(fd, kept[line], counts[line]);
    }
    return sent;
}
