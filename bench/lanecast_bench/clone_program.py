"""Fan-out wholly in the kernel, with no arbitration: a tc ingress program clones each packet (``bench/kernel``)."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from lanecast_bench.addresses import GROUP, GROUP_PORT, RECEIVER_PORT, RELAY_OUTPUT, receiver
from lanecast_bench.namespaces import Network
from lanecast_bench.processes import run
from lanecast_bench.tools import BENCH

COMPILER = "bpf-gcc"
INCLUDES = ("-I/usr/include", "-I/usr/include/x86_64-linux-gnu")


def attach(network: Network, fanout: int, folder: Path) -> None:
    """Compile the program for these receivers and put it before the relay's input."""
    out_interface, source_mac = network.link(network.relay, "to-sink")
    _, receiver_mac = network.link(network.sink, "from-relay")
    values = {
        "GROUP": f"{int(IPv4Address(GROUP))}u",
        "GROUP_PORT": str(GROUP_PORT),
        "PORT": str(RECEIVER_PORT),
        "FIRST_RECEIVER": f"{int(IPv4Address(receiver(0)))}u",
        "SOURCE": f"{int(IPv4Address(RELAY_OUTPUT))}u",
        "N": str(fanout),
        "OUT_INTERFACE": str(out_interface),
        "RECEIVER_MAC": f"{int(receiver_mac.replace(':', ''), 16)}ull",
        "SOURCE_MAC": f"{int(source_mac.replace(':', ''), 16)}ull",
    }
    program = folder / "mcast_clone.bpf.o"
    defined = [f"-D{name}={value}" for name, value in values.items()]
    source = BENCH / "kernel" / "mcast_clone.bpf.c"
    run(COMPILER, "-O2", *INCLUDES, *defined, "-c", str(source), "-o", str(program))
    tc = network.inside(network.relay, "tc")
    run(*tc, "qdisc", "add", "dev", "from-sender", "ingress")
    run(*tc, "filter", "add", "dev", "from-sender", "ingress", "bpf", "da", "obj", str(program), "sec", "tc")


def detach(network: Network) -> None:
    """Take the program away."""
    run(*network.inside(network.relay, "tc", "qdisc", "del", "dev", "from-sender", "ingress"))
