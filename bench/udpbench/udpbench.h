/* udpbench: paced sender, counting sink and reference relays for the fan-out benchmark (Linux).
 *
 * A datagram of the plain input starts with a stamp; one of the MoldUDP64 input is a downstream packet of a single
 * message (MoldUDP64 1.0, "Downstream Packet"), numbered from 1, and the stamp starts that message. Network namespaces
 * of one host share CLOCK_MONOTONIC, so the sink takes one-way latency straight from the stamp.
 *
 * Every command prints one JSON object on stdout and ends by itself: options.seconds, and an alarm behind that. */
#ifndef UDPBENCH_H
#define UDPBENCH_H

#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define MAX_FANOUT 1024
#define MAX_BATCH 1024
#define MAX_DATAGRAM 9000
#define MAX_SECONDS 3600.0
#define MAX_PER_CALL 1024  /* UIO_MAXIOV: the most messages that sendmmsg takes */

#define STAMP_BYTES 16        /* u64 sequence number from 0, u64 CLOCK_MONOTONIC nanoseconds, both of this host's order */
#define MOLD_HEADER_BYTES 20  /* session 10, sequence number 8, message count 2 */
#define MOLD_LENGTH_BYTES 2   /* before each message */
#define MOLD_COUNT_AT 18
#define MOLD_END_OF_SESSION 0xffff

struct options {
    const char *mode;
    const char *destination, *second_destination;  /* send: lines A and B; relay: the first receiver */
    const char *group, *second_group, *interface, *bind_address, *sizes_file;
    int port, second_port, group_port, second_group_port;
    int fanout, size, batch, cpu, receive_buffer;
    bool mold, check;
    int loss_a_permille, loss_b_permille;
    long rate_pps, count, tick_us, seed;
    double seconds;
};

extern struct options options;
extern volatile sig_atomic_t stopped;

/* system.c */
void die(const char *what) __attribute__((noreturn));
void refuse(const char *what) __attribute__((noreturn));
void *zeroed(size_t count, size_t bytes);
uint64_t now_ns(void);
double cpu_seconds(void);
void pin_to(int cpu);

/* sockets.c */
struct sockaddr_in socket_address(const char *address, int port);
int bound_socket(const char *address, int port);
void join_group(int fd, const char *group, const char *interface);
uint32_t socket_drops(int fd);
long send_all(int fd, struct mmsghdr *messages, int count);

/* message.c */
size_t stamp_offset(void);
size_t least_size(void);
void load_sizes(void);
size_t loaded_sizes(void);
size_t size_of(uint64_t sequence);
void write_message(uint8_t *datagram, uint64_t sequence, uint64_t time_ns);

/* lines.c: two redundant lines, each with a loss of its own */
extern uint64_t kept_by_line[2];
long send_lines(int fd, const struct sockaddr_in lines[2], struct iovec *datagrams, int count, uint64_t first_sequence);

/* latency.c */
void latency_add(uint64_t ns);
void latency_print(void);

/* flows.c: what each receiver got, by the stamps' numbers */
void flows_open(void);
void flow_add(uint32_t receiver, uint64_t sequence);
void flows_print(void);

/* fanout.c: one datagram to every receiver */
struct fanout_counts {
    uint64_t sent, calls, datagrams, runs;  /* runs: of datagrams that one send a receiver carries */
};
extern struct fanout_counts fanout_counts;
void fanout_open(const char *how);
void fan_out(struct iovec *datagrams, int count);

/* arbiter.c */
struct arbiter_counts {
    uint64_t duplicate, ahead, lost, held;
};
extern struct arbiter_counts arbiter_counts;
void arbiter_open(void);
void arbiter_receive(uint8_t *datagram, size_t bytes, uint64_t time_ns);
void arbiter_flush(void);
void arbiter_expire(uint64_t time_ns);

/* the commands */
int command_send(void);
int command_receive(void);
int command_relay(void);

#endif
