"""Who comes late asks for the past: from memory while it reaches back so far, from the journal beyond that."""

from __future__ import annotations

import pytest
from test_relay_command import NEEDS_ROOT, SCRIPT, run_in_namespace

FILE = """
lanecast-relay: 1
name: test
control-socket: {directory}/control.sock
journal: {{directory: {directory}/journal, sync: 20ms}}
feeds:
  quotes:
    protocol: PROTOCOL
    hole-wait: 1s
    re-requests: {{listen: {{main: "127.0.0.1:31001"}}, memory: 4KiB, answers: 100000 pps}}
    lines:
      A: {{multicast: {{source: 192.0.2.1, interface: wan, groups: {{main: "239.10.1.1:20001"}}}}}}
      B: {{multicast: {{source: 192.0.2.1, interface: wan, groups: {{main: "239.10.2.1:20001"}}}}}}
subscribers:
  first: {{feeds: {{quotes: {{main: "127.0.0.1:30001"}}}}, delivery: mold}}
"""

ASKING = (
    SCRIPT.partition("packets = ")[0]
    + r"""
def cme(number, body):
    return struct.pack("<IQ", number, number) + struct.pack("<HHHHH", 10 + len(body), 11, 1, 1, 1) + body

def blocks(packet):
    session, first, count = struct.unpack_from(">10sQH", packet)
    at, found = 20, []
    for _ in range(count):
        (size,) = struct.unpack_from(">H", packet, at)
        found.append(packet[at + 2:at + 2 + size])
        at += 2 + size
    assert at == len(packet)
    return session, first, found

TOTAL = 2000
if sys.argv[3] == "cme-mdp3":
    sent = {n: cme(n, b"message %d" % n) for n in range(1, TOTAL + 1)}
    messages = sent
else:
    messages = {n: b"message %d" % n for n in range(1, TOTAL + 1)}
    sent = {n: mold(n, [body]) for n, body in messages.items()}
delivered, session = {}, None
for n, packet in sent.items():
    sender.sendto(packet, (A, B)[n % 2])
    while n % 100 == 0 and len(delivered) < n:
        session, first, found = blocks(receiver.recv(2048))
        delivered.update({first + at: body for at, body in enumerate(found)})
        assert found, "a heartbeat: after a second of silence what has not come will not come"

def counters():
    return json.loads(subprocess.check_output([*relay, "counters", directory + "/control.sock", "--json"]))

while counters()["journal"]["written"] < TOTAL:  # what memory has let go a moment ago may be on its way to the disk
    pass
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(10)
past, largest, number = {}, 0, 1
while number <= TOTAL:
    asker.sendto(struct.pack(">10sQH", session, number, TOTAL), ("127.0.0.1", 31001))
    answer = asker.recv(65536)
    largest = max(largest, len(answer))
    name, first, found = blocks(answer)
    assert (name, first) == (session, number), (name, first, number)
    past.update({first + at: body for at, body in enumerate(found)})
    number += len(found)
asker.sendto(struct.pack(">10sQH", session, TOTAL, 1), ("127.0.0.1", 31001))
assert blocks(asker.recv(65536)) == (session, TOTAL, [messages[TOTAL]])
asked = counters()["streams"][0]["re_requests"]
process.terminate()
out, _ = process.communicate(timeout=20)
final = json.loads(out.strip().splitlines()[-1])
print(json.dumps({"delivered": delivered == messages, "past": past == messages, "largest": largest,
                  "status": process.returncode, "asked": asked, "journal": final["journal"]}))
"""
)


@NEEDS_ROOT
@pytest.mark.parametrize("protocol", ["moldudp64", "cme-mdp3"])
def test_the_whole_past_is_there_for_who_asks(protocol: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    script = ASKING.replace("sys.argv[3]", repr(protocol))
    seen = run_in_namespace(tmp_path_factory.mktemp("late"), FILE.replace("PROTOCOL", protocol), script)
    assert seen["status"] == 0
    assert seen["delivered"] is True
    assert seen["past"] is True
    assert seen["largest"] <= 1472
    asked = seen["asked"]
    assert asked["answers_from_journal"] > 0
    assert asked["answers"] > asked["answers_from_journal"], "the last one is in memory"
    outcomes = ("answers", "errors", "malformed", "strangers", "limited", "forgotten", "unknown", "waiting")
    assert asked["requests"] == sum(asked[outcome] for outcome in outcomes)
    assert asked["memory_bytes"] <= 4096
    assert seen["journal"]["recorded"] == seen["journal"]["written"] == 2000
