"""A project for Ansible: an inventory, what goes where on each box, the files, and playbooks that put them there.

Groups are sites, regions, roles and platforms. Everything of a box stands in its ``host_vars``, so the playbooks
(``playbooks/``, plain files of ours) know nothing of the network. Those of platforms that the plan does not have are
left out, and so are the collections that they need.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lanecast.fabric import IN_THE_CLOUD, Fabric, Host, HostRole
from lanecast.plan.layout import COUNTERPARTS
from lanecast.router import InterfaceRole, Router, RouterRole
from lanecast_templates.formats.handed_over import HandedOver
from lanecast_templates.renderer import SECRET_MODE, RenderedFile, header, node_folder
from lanecast_templates.user_data import USER_DATA

PLAYBOOKS = Path(__file__).with_name("playbooks")

LINUX = "linux"
"""The platform of hosts; FRR routers are Linux boxes as well."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How Ansible talks to a platform, and which playbook of ours does."""

    playbook: str
    variables: Mapping[str, str]
    collection: str | None = None
    """None: ansible-core is enough."""


SSH = {"ansible_connection": "ssh"}
NETWORK_CLI = "ansible.netcommon.network_cli"

CONNECTIONS = {
    LINUX: Connection("linux", SSH),
    "frr": Connection("linux", SSH),
    "eos": Connection("eos", {"ansible_connection": NETWORK_CLI, "ansible_network_os": "arista.eos.eos"}, "arista.eos"),
    "ios-xe": Connection(
        "ios-xe", {"ansible_connection": NETWORK_CLI, "ansible_network_os": "cisco.ios.ios"}, "cisco.ios"
    ),
    "nx-os": Connection(
        "nx-os", {"ansible_connection": NETWORK_CLI, "ansible_network_os": "cisco.nxos.nxos"}, "cisco.nxos"
    ),
    "junos": Connection(
        "junos",
        {"ansible_connection": "ansible.netcommon.netconf", "ansible_network_os": "junipernetworks.junos.junos"},
        "junipernetworks.junos",
    ),
    "huawei-vrp": Connection(
        "huawei-vrp",
        {"ansible_connection": NETWORK_CLI, "ansible_network_os": "community.network.ce"},
        "community.network",
    ),
    "h3c-comware": Connection("h3c-comware", SSH),
    "vyos": Connection(
        "vyos", {"ansible_connection": NETWORK_CLI, "ansible_network_os": "vyos.vyos.vyos"}, "vyos.vyos"
    ),
}
"""By platform."""

BY_HAND = "h3c-comware"
"""No collection that is maintained speaks to it."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a file of a Linux box needs besides being there."""

    handlers: tuple[str, ...]
    """Of the playbook, by name: what takes the file into use."""
    validate: str | None = None
    """Asked before the file is put in place; ``%s`` is the file."""
    service: str | None = None
    """What has to be enabled for the file to count."""


TREATMENTS = {
    "etc/sysctl.d/": Treatment(("Apply kernel settings",)),
    "etc/systemd/network/": Treatment(("Configure interfaces",), service="systemd-networkd"),
    "etc/systemd/networkd.conf.d/": Treatment(("Restart systemd-networkd",), service="systemd-networkd"),
    "etc/systemd/system/lanecast-relay.service": Treatment(
        ("Read units anew", "Restart the relay"), service="lanecast-relay"
    ),
    "etc/systemd/system/": Treatment(("Read units anew",)),
    "etc/nftables.conf": Treatment(("Load the packet filter",), "/usr/sbin/nft --check --file %s", "nftables"),
    "etc/keepalived/": Treatment(("Reload keepalived",), service="keepalived"),
    "etc/frr/daemons": Treatment(("Restart FRR",), service="frr"),
    "etc/frr/frr.conf": Treatment(("Reload FRR",), "/usr/bin/vtysh --dryrun --inputfile %s", "frr"),
    "etc/frr/": Treatment(()),
    "etc/chrony/chrony.conf": Treatment(("Restart chrony",), "/usr/sbin/chronyd -p -f %s", "chrony"),
    "etc/chrony/": Treatment(("Restart chrony",), service="chrony"),
    "etc/linuxptp/": Treatment(("Restart PTP",), service="lanecast-ptp4l"),
    "etc/systemd/system/lanecast-phc2sys.service": Treatment(
        ("Read units anew", "Restart PTP"), service="lanecast-phc2sys"
    ),
    "etc/rsyslog.d/": Treatment(("Restart rsyslog",), "/usr/sbin/rsyslogd -N1 -f %s", "rsyslog"),
    "etc/lanecast/relay.yaml": Treatment(("Reload the relay",), "/usr/local/bin/lanecast-relay check %s"),
}
"""By the beginning of a path, the longest first where several fit."""


def ansible_project(fabric: Fabric, files: Sequence[RenderedFile]) -> HandedOver:
    """Return the project's files."""
    boxes = [node for node in fabric.nodes() if not node_folder(node).is_relative_to(COUNTERPARTS)]
    made = [_document(fabric, "inventory.yaml", _inventory(boxes, fabric))]
    for node in boxes:
        # User data is for an instance's first start, which is not a playbook's.
        inside = [file for file in files if file.path.is_relative_to(node_folder(node))]
        own = [file for file in inside if file.path.name != USER_DATA]
        made.append(_document(fabric, f"host_vars/{node.name}.yaml", _variables(node, own)))
        made += [RenderedFile("files" / file.path, file.text, file.mode) for file in own]
    made += _playbooks(fabric, sorted({platform_of(node) for node in boxes}))
    folders = {node_folder(node) for node in fabric.nodes()}
    made += [file for file in files if not any(file.path.is_relative_to(folder) for folder in folders)]
    by_hand = [node.name for node in boxes if platform_of(node) == BY_HAND]
    notes = [f"no maintained collection speaks to {BY_HAND}: load the files of {', '.join(by_hand)} by hand"]
    return HandedOver(tuple(made), tuple(notes if by_hand else ()))


def platform_of(node: Router | Host) -> str:
    """What a box runs."""
    return str(node.platform) if isinstance(node, Router) else LINUX


def _document(fabric: Fabric, path: str, content: object) -> RenderedFile:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return RenderedFile(PurePosixPath(path), f"# {header(fabric)}\n---\n{text}")


def _group(kind: str, name: str) -> str:
    """Ansible's names of groups are identifiers; names of a plan have no underscores, so no two become one."""
    return f"{kind}_{name.replace('-', '_')}"


def _groups(node: Router | Host, fabric: Fabric) -> Iterator[str]:
    yield _group("platform", platform_of(node))
    match node.role:
        case RouterRole.SITE:
            yield "role_router"
        case HostRole.RELAY:
            yield "role_relay"
        case HostRole.BRIDGE:
            yield "role_bridge"
        case _:
            yield "role_subscriber"
    if node.role in IN_THE_CLOUD:
        yield _group("region", node.place.partition(".")[0])
    else:
        yield _group("site", node.place)


def _inventory(boxes: Sequence[Router | Host], fabric: Fabric) -> dict[str, Any]:
    groups: dict[str, dict[str, Any]] = defaultdict(lambda: {"hosts": {}})
    for node in boxes:
        for group in _groups(node, fabric):
            groups[group]["hosts"][node.name] = None
        groups[_group("platform", platform_of(node))]["vars"] = dict(CONNECTIONS[platform_of(node)].variables)
    return {"all": {"children": dict(sorted(groups.items()))}}


def _reached_at(node: Router | Host) -> str:
    """Where a box answers SSH: its LAN's address at a site, its only one in the cloud."""
    reachable = (InterfaceRole.LAN, InterfaceRole.CLOUD)
    return str(next(interface.address.ip for interface in node.interfaces if interface.role in reachable))


def _variables(node: Router | Host, files: Sequence[RenderedFile]) -> dict[str, Any]:
    variables: dict[str, Any] = {"ansible_host": _reached_at(node), "lanecast_place": node.place}
    if CONNECTIONS[platform_of(node)].playbook == LINUX:
        entries = [_delivered(node, file) for file in files]
        services = {treatment.service for file in files if (treatment := _treatment(node, file)).service}
        if isinstance(node, Host) and node.nat is not None:
            variables["lanecast_shared_addresses"] = [str(shared.address) for shared in node.nat.shared]
        return variables | {"lanecast_services": sorted(filter(None, services)), "lanecast_files": entries}
    [configuration] = files
    return variables | {
        "lanecast_configuration": f"files/{configuration.path}",
        "lanecast_secret": configuration.mode == SECRET_MODE,
    }


def _treatment(node: Router | Host, file: RenderedFile) -> Treatment:
    path = str(file.path.relative_to(node_folder(node)))
    fitting = [beginning for beginning in TREATMENTS if path.startswith(beginning)]
    treatment = TREATMENTS[max(fitting, key=len)]
    if path == "etc/nftables.conf" and isinstance(node, Host) and node.nat is not None:
        # A running flow keeps to the translation that it began with, whatever the rules say by now.
        return replace(treatment, handlers=(*treatment.handlers, "Forget translated flows"))
    return treatment


def _delivered(node: Router | Host, file: RenderedFile) -> dict[str, Any]:
    treatment = _treatment(node, file)
    entry: dict[str, Any] = {
        "src": f"files/{file.path}",
        "dest": f"/{file.path.relative_to(node_folder(node))}",
        "mode": f"{file.mode:04o}",
        "secret": file.mode == SECRET_MODE,
        "notify": list(treatment.handlers),
    }
    return entry if treatment.validate is None else entry | {"validate": treatment.validate}


def _playbooks(fabric: Fabric, platforms: Sequence[str]) -> Iterator[RenderedFile]:
    names = sorted({CONNECTIONS[platform].playbook for platform in platforms})
    for name in names:
        text = (PLAYBOOKS / f"{name}.yaml").read_text()
        yield RenderedFile(PurePosixPath("playbooks", f"{name}.yaml"), f"# {header(fabric)}\n{text}")
    yield _document(fabric, "site.yaml", [{"import_playbook": f"playbooks/{name}.yaml"} for name in names])
    collections = sorted({CONNECTIONS[platform].collection for platform in platforms} - {None}, key=str)
    if collections:
        yield _document(fabric, "requirements.yaml", {"collections": [{"name": name} for name in collections]})
