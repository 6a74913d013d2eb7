/* Sockets: bound, joined, and batches sent to the last datagram. */
#include "udpbench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>

struct sockaddr_in socket_address(const char *address, int port)
{
    struct sockaddr_in result = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    if (address && !inet_aton(address, &result.sin_addr)) {
        fprintf(stderr, "udpbench: %s is no IPv4 address\n", address);
        exit(2);
    }
    return result;
}

int bound_socket(const char *address, int port)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    if (fd < 0)
        die("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one))
        die("SO_REUSEADDR");
    /* Forced where the capability is there: net.core.rmem_max is not for this tool to change. */
    if (options.receive_buffer &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &options.receive_buffer, sizeof options.receive_buffer) &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof options.receive_buffer))
        die("SO_RCVBUF");
    struct sockaddr_in local = socket_address(address, port);
    if (bind(fd, (struct sockaddr *)&local, sizeof local))
        die("bind");
    return fd;
}

void join_group(int fd, const char *group, const char *interface)
{
    struct ip_mreq membership = {
        .imr_multiaddr = socket_address(group, 0).sin_addr,
        .imr_interface = socket_address(interface, 0).sin_addr,
    };
    if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership))
        die("IP_ADD_MEMBERSHIP");
}

uint32_t socket_drops(int fd)
{
    uint32_t information[SK_MEMINFO_VARS] = { 0 };
    socklen_t bytes = sizeof information;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, information, &bytes))
        die("SO_MEMINFO");
    return information[SK_MEMINFO_DROPS];
}

/* Sends every message, going on where sendmmsg stopped; one that finds no buffer is a loss, which the sink will see.
 * Returns how many were handled. */
long send_all(int fd, struct mmsghdr *messages, int count)
{
    int done = 0;
    while (done < count) {
        int wanted = count - done < MAX_PER_CALL ? count - done : MAX_PER_CALL;
        int sent = sendmmsg(fd, messages + done, (unsigned)wanted, 0);
        if (sent >= 0) {
            done += sent;
        } else if (errno == ENOBUFS || errno == EAGAIN) {
            done++;
        } else if (errno != EINTR) {
            die("sendmmsg");
        } else if (stopped) {
            break;
        }
    }
    return done;
}
