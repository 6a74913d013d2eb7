"""`pulumi-resource-baiducloud ENGINE`: the engine starts it, reads the port that it prints, and speaks gRPC to it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from lanecast_infra.provider.servicer import Provider

LARGEST_MESSAGE: Final = 400 * 1024 * 1024
"""What the engine itself allows."""
THREADS: Final = 64
GRACE_S: Final = 0.5
LOOKS_EVERY_S: Final = 0.5


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="pulumi-resource-baiducloud", description=__doc__)
    parser.add_argument("engine", nargs="?", help="address of the engine; none for one that attaches later")
    arguments, _ = parser.parse_known_args()
    sizes = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_send_message_length", LARGEST_MESSAGE)]
    provider = Provider(arguments.engine)
    server = grpc.server(ThreadPoolExecutor(max_workers=THREADS), options=sizes)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # the engine ends its plugins by SIGINT
        signal.signal(number, lambda *_: ended.set())
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    _wait(ended, os.getppid() if arguments.engine else None)
    provider.stop()
    server.stop(grace=GRACE_S).wait()


def _wait(ended: threading.Event, engine: int | None) -> None:
    """Until told to end, or the engine that started this process is gone: nobody would keep what is made then."""
    while not ended.wait(LOOKS_EVERY_S):
        if engine is not None and os.getppid() != engine:
            return


if __name__ == "__main__":
    main()
