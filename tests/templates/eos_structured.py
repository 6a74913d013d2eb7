"""A router as pyavd's structured configuration (``eos_cli_config_gen``): what EOS has to be told, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

from platform_plans import SECRETS

from lanecast.plan.model import AaaProtocol, SecretReference, TcpAoAlgorithm
from lanecast.router import (
    AccessRule,
    BgpNeighbor,
    Interface,
    InterfaceKind,
    InterfaceRole,
    Prefixes,
    ReversePath,
    Router,
)

Config = dict[str, Any]

DENY_REST = AccessRule("everything else", False, "ip")


def structured_config(router: Router) -> Config:
    """Everything; what is empty is left out."""
    config: Config = {
        "hostname": router.name,
        "aaa_root": {"disabled": True},
        "service_routing_protocols_model": "multi-agent",
        "management_console": {"idle_timeout": 15},
        "ip_routing": True if router.vrf is None else None,
        "vrfs": [{"name": router.vrf, "ip_routing": True}] if router.vrf is not None else [],
        "ip_icmp_redirect": False,
        "config_end": True,
        "vlans": [{"id": each.id, "name": each.name} for each in router.vlans],
        "ip_igmp_snooping": {"vlans": [{"id": each.id, "enabled": each.snooping} for each in router.vlans]},
        "ethernet_interfaces": list(_ethernet(router)),
        "vlan_interfaces": [_routed(router, each) for each in router.interfaces if _is(each, "Vlan")],
        "loopback_interfaces": [_loopback(router, each) for each in router.interfaces if _is(each, "Loopback")],
        "ip_access_lists": [_access_list(*each) for each in _extended(router)],
        "standard_access_lists": [_standard_list(each) for each in _standard(router)],
        "static_routes": [
            _of(router, prefix=str(each.prefix), interface=each.interface, next_hop=str(each.via), distance=each.metric)
            for each in router.routes
        ],
        "system": {"control_plane": {"ipv4_access_groups": [_of(router, acl_name="control-plane")]}},
        "policy_maps": {"copp_system_policy": {"classes": list(_classes(router))}},
        **_policies(router),
        **_multicast(router),
        **_management(router),
    }
    return {key: value for key, value in config.items() if value not in ({}, [], None)}


def _is(interface: Interface, prefix: str) -> bool:
    return interface.name.startswith(prefix)


def _of(router: Router, **values: object) -> Config:
    """With the VRF, where there is one."""
    return values if router.vrf is None else {**values, "vrf": router.vrf}


def _secret(reference: SecretReference | None) -> str:
    assert reference is not None
    assert reference.environment is not None
    return SECRETS[reference.environment]


def _ethernet(router: Router) -> Iterator[Config]:
    ports = {each.parent for each in router.interfaces if each.kind is InterfaceKind.SUBINTERFACE}
    for port in ports:
        carried = sorted(each.attached_to for each in router.interfaces if each.parent == port)
        yield {
            "name": port,
            "description": f"carries {', '.join(carried)}",
            "shutdown": False,
            "switchport": {"enabled": False},
            "lldp": {"transmit": False, "receive": False},
        }
    yield from (_routed(router, each) for each in router.interfaces if _is(each, "Ethernet"))
    for vlan in router.vlans:
        for port in vlan.ports:
            yield {
                "name": port,
                "description": vlan.name,
                "shutdown": False,
                "switchport": {"enabled": True, "mode": "access", "access_vlan": vlan.id},
                "spanning_tree_portfast": "edge",
                "spanning_tree_bpduguard": "enabled",
                **_ptp(router, vlan.interface),
            }
    for port in router.unused_ports:
        yield {"name": port, "description": "unused", "shutdown": True}


def _ptp(router: Router, interface: str) -> Config:
    managed = router.management
    if managed.ptp is None or interface != managed.source_interface:
        return {}
    return {"ptp": {"enable": True, "transport": "ipv4"}}


def _loopback(router: Router, interface: Interface) -> Config:
    address = str(interface.address)
    return _of(router, name=interface.name, description=_described(interface), shutdown=False, ip_address=address)


def _described(interface: Interface) -> str:
    return f"{interface.role} {interface.attached_to}"


def _routed(router: Router, interface: Interface) -> Config:
    config = _of(
        router,
        name=interface.name,
        description=_described(interface),
        shutdown=False,
        ip_address=str(interface.address),
        ip_verify_unicast_source_reachable_via="any" if interface.reverse_path is ReversePath.LOOSE else "rx",
        access_group_in=interface.access_list,
    )
    match interface.kind:
        case InterfaceKind.PORT:
            config |= {"switchport": {"enabled": False}, **_ptp(router, interface.name)}
        case InterfaceKind.SUBINTERFACE:
            config |= {"encapsulation_dot1q": {"vlan": interface.vlan}}
    if interface.bfd is not None:
        timer = interface.bfd.interval_ms
        config |= {"bfd": {"interval": timer, "min_rx": timer, "multiplier": interface.bfd.multiplier}}
    return {**config, **_multicast_interface(router, interface)}


def _multicast_interface(router: Router, interface: Interface) -> Config:
    multicast = router.multicast
    assert multicast is not None
    config: Config = {}
    boundary = dict(multicast.boundaries).get(interface.name)
    if boundary is not None:
        outward = interface.role is InterfaceRole.CIRCUIT
        named = {"boundary": boundary.name, "out": True} if outward else {"boundary": boundary.name}
        config |= {"multicast": {"ipv4": {"boundaries": [named]}}}
    for pim in multicast.pim:
        if pim.interface == interface.name:
            said = {"sparse_mode": True, "hello": {"interval": pim.hello_s}, "bfd": pim.bfd}
            said |= {"neighbor_filter": f"pim-{interface.attached_to}"}
            said |= {} if pim.dr_priority is None else {"dr_priority": pim.dr_priority}
            config |= {"pim": {"ipv4": said}}
    if _is(interface, "Vlan") and any(each.interface == interface.name for each in multicast.igmp):
        config |= {"ip_igmp": True, "ip_igmp_version": 3}
    return config


def _extended(router: Router) -> Iterator[tuple[str, tuple[AccessRule, ...], bool]]:
    """Name, rules, and whether they are told apart and counted."""
    yield from ((each.name, each.rules, True) for each in router.access_lists)
    assert router.multicast is not None
    own = [each.address for each in router.multicast.rendezvous_points if each.local]
    registers = [AccessRule("no registers", False, "pim", destination=IPv4Network(each)) for each in own]
    classes = [rule for each in router.control_plane for rule in each.rules]
    yield "control-plane", (*registers, *classes, *_ssh_elsewhere(router), DENY_REST), True
    yield from ((f"copp-{each.name}", each.rules, False) for each in router.control_plane)
    if router.multicast.msdp is not None:
        yield "msdp-nothing", (DENY_REST,), False
        for peer in router.multicast.msdp.peers:
            pairs = [(source, group) for source in peer.sources.permitted for group in peer.groups.permitted]
            yield peer.sources.name, tuple(AccessRule("", True, "ip", *each) for each in pairs), False


def _ssh_elsewhere(router: Router) -> Iterator[AccessRule]:
    """Nobody named may use SSH: it is answered on addresses that are not the plan's, if there are any in its table."""
    if router.management.ssh_sources or router.vrf is not None:
        return
    for own in sorted(address.ip for each in router.interfaces for address in each.addresses):
        yield AccessRule("no SSH by the plan", False, "tcp", destination=IPv4Network(own), destination_port=22)
    yield AccessRule("SSH by Management1", True, "tcp", destination_port=22)


def _access_list(name: str, rules: tuple[AccessRule, ...], told_apart: bool) -> Config:
    entries: list[Config] = []
    comment = ""
    for rule in rules:
        if told_apart and rule.comment != comment:
            comment = rule.comment
            entries.append({"sequence": 10 * len(entries) + 10, "remark": comment})
        entries.append({"sequence": 10 * len(entries) + 10, **_rule(rule)})
    return {"name": name, "entries": entries, **({"counters_per_entry": True} if told_apart else {})}


def _rule(rule: AccessRule) -> Config:
    config: Config = {"action": "permit" if rule.permit else "deny", "protocol": rule.protocol}
    config |= {"source": _address(rule.source), "destination": _address(rule.destination)}
    if rule.source_port is not None:
        config |= {"source_ports_match": "eq", "source_ports": [str(rule.source_port)]}
    if rule.destination_port is not None:
        config |= {"destination_ports_match": "eq", "destination_ports": [str(rule.destination_port)]}
    return config


def _address(network: IPv4Network) -> str:
    if network.prefixlen == 0:
        return "any"
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def _standard(router: Router) -> Iterator[Prefixes]:
    multicast = router.multicast
    assert multicast is not None
    if router.management.ssh_sources:
        yield Prefixes("ssh-sources", router.management.ssh_sources)
    yield Prefixes("ssm-ranges", multicast.ssm_ranges)
    yield from dict.fromkeys(prefixes for _, prefixes in multicast.boundaries)
    yield from (each.groups for each in multicast.rendezvous_points)
    for pim in multicast.pim:
        attached_to = router.interface(pim.interface).attached_to
        yield Prefixes(f"pim-{attached_to}", tuple(IPv4Network(each) for each in pim.neighbors))


def _standard_list(prefixes: Prefixes) -> Config:
    sources = [("permit", _address(each)) for each in prefixes.permitted] or [("deny", "any")]
    entries = [
        {"sequence": 10 * number, "action": action, "source": source}
        for number, (action, source) in enumerate(sources, start=1)
    ]
    return {"name": prefixes.name, "entries": entries}


def _classes(router: Router) -> Iterator[Config]:
    for each in router.control_plane:
        yield {"name": f"copp-{each.name}", "shape": each.rate_pps, "rate_unit": "pps"}
    yield {"name": "copp-system-default", "shape": 50, "rate_unit": "pps"}


def _policies(router: Router) -> Config:
    bgp = router.bgp
    assert bgp is not None
    lists = [each for peer in bgp.neighbors for each in (peer.accept, peer.announce)]
    paths = {peer.accept_as_paths: f"^{peer.asn}(_{peer.asn})*$" for peer in bgp.neighbors}
    return {
        "prefix_lists": [_prefix_list(each) for each in lists],
        "as_path": {
            "regex_mode": "string",
            "access_lists": [
                {"name": name, "entries": [{"type": "permit", "match": match, "origin": "any"}]}
                for name, match in paths.items()
            ],
        },
        "route_maps": [each for peer in bgp.neighbors for each in _route_maps(peer)],
        "router_bgp": _bgp(router),
    }


def _prefix_list(prefixes: Prefixes) -> Config:
    def line(prefix: IPv4Network) -> str:
        longer = prefixes.longer is not None and prefixes.longer > prefix.prefixlen
        return f"permit {prefix} le {prefixes.longer}" if longer else f"permit {prefix}"

    actions = [line(each) for each in prefixes.permitted] or ["deny 0.0.0.0/0 le 32"]
    entries = [{"sequence": 10 * number, "action": action} for number, action in enumerate(actions, start=1)]
    return {"name": prefixes.name, "sequence_numbers": entries}


def _route_maps(neighbor: BgpNeighbor) -> Iterator[Config]:
    for prefixes, paths in ((neighbor.accept, [f"as-path {neighbor.accept_as_paths}"]), (neighbor.announce, [])):
        matches = [*paths, f"ip address prefix-list {prefixes.name}"]
        entry = {"sequence": 10, "type": "permit", "match": matches}
        yield {"name": prefixes.name, "sequence_numbers": [entry]}


def _bgp(router: Router) -> Config:
    bgp = router.bgp
    assert bgp is not None
    config: Config = {"as": str(bgp.asn), "bgp": {"default": {"ipv4_unicast": False}}}
    family: Config = {
        "networks": [{"prefix": str(each)} for each in bgp.networks],
        "neighbors": [{"ip_address": str(each.address), "activate": True} for each in bgp.neighbors],
    }
    router_id = str(bgp.router_id)
    if router.vrf is None:
        timers = {"keepalive_time": bgp.keepalive_s, "hold_time": bgp.hold_s}
        missing = [f"bgp missing-policy direction {direction} action deny" for direction in ("in", "out")]
        peers = [{**_peer(each), **_peer_outside_of_vrfs(router, each)} for each in bgp.neighbors]
        config |= {"router_id": router_id, "timers": timers, "bgp_defaults": missing, "neighbors": peers}
        return {**config, "address_family_ipv4": family}
    family |= {"bgp": {"missing_policy": {"direction_in_action": "deny", "direction_out_action": "deny"}}}
    instance = {"name": router.vrf, "router_id": router_id, "timers": f"{bgp.keepalive_s} {bgp.hold_s}"}
    peers = [_peer(each) for each in bgp.neighbors]
    return {**config, "vrfs": [{**instance, "neighbors": peers, "address_family_ipv4": family}]}


def _peer(neighbor: BgpNeighbor) -> Config:
    config: Config = {
        "ip_address": str(neighbor.address),
        "remote_as": str(neighbor.asn),
        "description": neighbor.description,
        "bfd": neighbor.bfd,
        "enforce_first_as": True,
        "route_map_in": neighbor.accept.name,
        "route_map_out": neighbor.announce.name,
        "maximum_routes": neighbor.maximum_prefixes,
    }
    return config if neighbor.password is None else {**config, "password": _secret(neighbor.password)}


def _peer_outside_of_vrfs(router: Router, neighbor: BgpNeighbor) -> Config:
    """What the schema knows of the global table's neighbours alone."""
    config: Config = {"ttl_maximum_hops": 1}
    if neighbor.tcp_ao is not None:
        hashes = {TcpAoAlgorithm.HMAC_SHA_1_96: "hmac-sha1-96", TcpAoAlgorithm.AES_128_CMAC_96: "aes-128-cmac-96"}
        named = {"profile": _profile(router, neighbor), "hash_algorithm": hashes[neighbor.tcp_ao.algorithm]}
        config |= {"shared_secret": named}
    return config


def _profile(router: Router, neighbor: BgpNeighbor) -> str:
    return f"tcp-ao-{router.interface(neighbor.interface).attached_to}"


def _in_vrf(router: Router, config: Config) -> Config:
    return config if router.vrf is None else {"vrfs": [{"name": router.vrf, **config}]}


def _multicast(router: Router) -> Config:
    multicast = router.multicast
    assert multicast is not None
    points = [
        {"address": str(each.address), "access_lists": [each.groups.name]} for each in multicast.rendezvous_points
    ]
    config: Config = {
        "router_multicast": _in_vrf(router, {"ipv4": {"routing": True}}),
        "router_pim_sparse_mode": _in_vrf(router, {"ipv4": {"ssm_range": "ssm-ranges", "rp_addresses": points}}),
    }
    if multicast.msdp is not None:
        peers = [
            {
                "ipv4_address": str(each.address),
                "local_interface": each.interface,
                "description": each.description,
                "sa_limit": each.maximum_active_sources,
                "sa_filter": {"in_list": each.sources.name, "out_list": "msdp-nothing"},
            }
            for each in multicast.msdp.peers
        ]
        said = {"originator_id_local_interface": multicast.msdp.originator, "peers": peers}
        config |= {"router_msdp": _in_vrf(router, said)}
    return config


def _management(router: Router) -> Config:
    managed = router.management
    source = managed.source_interface
    config: Config = {"management_ssh": _ssh(router)}
    if managed.users:
        config["local_users"] = [
            {
                "name": each.name,
                "privilege": 15,
                "role": "network-admin",
                "sha512_password": "$6$lanecast$" + 86 * ".",
                "ssh_key": each.ssh_key,
            }
            for each in managed.users
        ]
    if managed.syslog:
        hosts = [{"name": str(each)} for each in managed.syslog]
        logged = {"name": router.vrf or "default", "hosts": hosts, "source_interface": source}
        config["logging"] = {"vrfs": [logged]}
    if managed.ptp is not None:
        clock = {"mode": "boundary", "domain": managed.ptp.domain, "priority1": 255}
        config["ptp"] = {**clock, "free_running": {"enabled": False}}
    if router.bgp is not None:
        held = [each for each in router.bgp.neighbors if each.tcp_ao is not None]
        config["management_security"] = {"shared_secret_profiles": [_shared_secret(router, each) for each in held]}
        if not held:
            del config["management_security"]
    return {**config, **_ntp(router), **_aaa(router)}


def _shared_secret(router: Router, neighbor: BgpNeighbor) -> Config:
    assert neighbor.tcp_ao is not None
    key = {"name": str(neighbor.tcp_ao.key_id), "secret": _secret(neighbor.tcp_ao.secret), "secret_type": "0"}
    lives = {"receive_lifetime": {"infinite": True}, "transmit_lifetime": {"infinite": True}}
    return {"profile": _profile(router, neighbor), "secrets": [{**key, **lives}]}


def _ssh(router: Router) -> Config:
    managed = router.management
    asked = ["keyboard-interactive"] if managed.aaa is not None else []
    methods = [*asked, "public-key"] if managed.aaa is not None or managed.users else []
    config: Config = {"idle_timeout": 15}
    if methods:
        config |= {"authentication": {"protocols": methods}}
    if not managed.ssh_sources:
        return config
    if router.vrf is None:
        return {**config, "ip_access_group_in": "ssh-sources"}
    return {**config, "vrfs": [{"name": router.vrf, "enable": True, "ip_access_group_in": "ssh-sources"}]}


def _ntp(router: Router) -> Config:
    ntp = router.management.ntp
    if ntp is None:
        return {}
    signed = {} if ntp.key_id is None else {"key": ntp.key_id}
    config: Config = {
        "local_interface": _of(router, name=router.management.source_interface),
        "servers": [{"name": str(each), "iburst": True, **signed} for each in ntp.servers],
    }
    if ntp.key_id is not None:
        key = {"id": ntp.key_id, "hash_algorithm": "md5", "key": _secret(ntp.key), "key_type": "0"}
        config |= {"authenticate": True, "authentication_keys": [key], "trusted_keys": str(ntp.key_id)}
    return {"ntp": _of(router, **config)}


def _aaa(router: Router) -> Config:
    aaa = router.management.aaa
    if aaa is None:
        return {}
    tacacs = aaa.protocol is AaaProtocol.TACACS
    group = "tacacs+" if tacacs else "radius"
    first = f"group {group} local"
    told = {"type": "start-stop", "methods": [{"method": "group", "group": group}]}
    key = {"key": _secret(aaa.key), "key_type": "0"}
    source = [_of(router, name=router.management.source_interface)]
    config: Config = {
        "aaa_authentication": {"login": {"default": first}},
        "aaa_authorization": {"exec": {"default": first}, "serial_console": True},
        "aaa_accounting": {"exec": {"default": told}},
    }
    if not tacacs:
        servers = [{"host": str(each), **key} for each in aaa.servers]
        config |= {"radius_server": _in_vrf(router, {"servers": servers})}
        return {**config, "ip_radius_source_interfaces": source}
    config["aaa_authorization"] |= {"commands": {"all_default": first}}
    config["aaa_accounting"] |= {"commands": {"default": [{"commands": "all", **told}]}}
    hosts = [_of(router, host=str(each), **key) for each in aaa.servers]
    return {**config, "tacacs_servers": {"hosts": hosts}, "ip_tacacs_source_interfaces": source}
