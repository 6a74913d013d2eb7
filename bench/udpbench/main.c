/* The command line: udpbench send|receive|relay [--option value]... */
#include "udpbench.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALARM_GRACE_S 5  /* no loop outlives --seconds by more than this */

struct options options = {
    .mode = "", .destination = "127.0.0.1", .port = 6000, .second_port = 6001, .group_port = 5000,
    .second_group_port = 5001, .fanout = 1, .size = 200, .batch = 64, .cpu = -1, .tick_us = 200, .seed = 1, .seconds = 3,
};

enum kind { TEXT, NUMBER, LONG_NUMBER, REAL, SWITCH };

static const struct setting {
    const char *name;
    enum kind kind;
    void *value;
} settings[] = {
    { "mode", TEXT, &options.mode },
    { "destination", TEXT, &options.destination },
    { "second-destination", TEXT, &options.second_destination },
    { "group", TEXT, &options.group },
    { "second-group", TEXT, &options.second_group },
    { "interface", TEXT, &options.interface },
    { "bind", TEXT, &options.bind_address },
    { "sizes", TEXT, &options.sizes_file },
    { "port", NUMBER, &options.port },
    { "second-port", NUMBER, &options.second_port },
    { "group-port", NUMBER, &options.group_port },
    { "second-group-port", NUMBER, &options.second_group_port },
    { "fanout", NUMBER, &options.fanout },
    { "size", NUMBER, &options.size },
    { "batch", NUMBER, &options.batch },
    { "cpu", NUMBER, &options.cpu },
    { "receive-buffer", NUMBER, &options.receive_buffer },
    { "loss-a", NUMBER, &options.loss_a_permille },
    { "loss-b", NUMBER, &options.loss_b_permille },
    { "rate", LONG_NUMBER, &options.rate_pps },
    { "count", LONG_NUMBER, &options.count },
    { "tick-us", LONG_NUMBER, &options.tick_us },
    { "seed", LONG_NUMBER, &options.seed },
    { "seconds", REAL, &options.seconds },
    { "mold", SWITCH, &options.mold },
    { "check", SWITCH, &options.check },
};
#define SETTINGS (sizeof settings / sizeof *settings)

static void set(const struct setting *setting, const char *text)
{
    char *end = "";
    errno = 0;
    switch (setting->kind) {
    case TEXT: *(const char **)setting->value = text; break;
    case NUMBER: *(int *)setting->value = (int)strtol(text, &end, 10); break;
    case LONG_NUMBER: *(long *)setting->value = strtol(text, &end, 10); break;
    case REAL: *(double *)setting->value = strtod(text, &end); break;
    case SWITCH: *(bool *)setting->value = true; break;
    }
    if (errno || *end) {
        fprintf(stderr, "udpbench: --%s: expected a number, found %s\n", setting->name, text);
        exit(2);
    }
}

static void read_options(int argc, char **argv)
{
    struct option known[SETTINGS + 1] = { 0 };
    int index, found;
    for (size_t i = 0; i < SETTINGS; i++)
        known[i] = (struct option){ settings[i].name, settings[i].kind != SWITCH ? required_argument : no_argument, NULL, 1 };
    while ((found = getopt_long(argc, argv, "", known, &index)) != -1) {
        if (found != 1)
            exit(2);
        set(&settings[index], optarg);
    }
    if (optind < argc)
        refuse("every option starts with --");
}

static void check_options(void)
{
    if (options.fanout < 1 || options.fanout > MAX_FANOUT)
        refuse("--fanout: expected 1 to 1024");
    if (options.batch < 1 || options.batch > MAX_BATCH)
        refuse("--batch: expected 1 to 1024");
    if (options.size < (int)least_size() || options.size > MAX_DATAGRAM)
        refuse("--size: expected room for the stamp (16, 38 with --mold), and at most 9000");
    if (!(options.seconds > 0) || options.seconds > MAX_SECONDS)
        refuse("--seconds: expected more than 0, and at most 3600");
    if (options.tick_us < 1 || options.rate_pps < 0 || options.count < 0)
        refuse("--tick-us, --rate, --count: expected no negative number, and a tick of at least 1");
}

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void end_by_signal_or_alarm(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    int signals[] = { SIGTERM, SIGINT, SIGALRM };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], &action, NULL))
            die("sigaction");
    alarm((unsigned)options.seconds + ALARM_GRACE_S);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } commands[] = { { "send", command_send }, { "receive", command_receive }, { "relay", command_relay } };
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(argv[1], commands[i].name)) {
            read_options(argc - 1, argv + 1);
            if (options.sizes_file)
                load_sizes();
            check_options();
            end_by_signal_or_alarm();
            pin_to(options.cpu);
            return commands[i].run();
        }
    refuse("usage: udpbench send|receive|relay [--option value]...");
}
