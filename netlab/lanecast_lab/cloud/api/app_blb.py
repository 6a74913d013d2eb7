"""Application load balancers: ``AppBlbClient`` of the SDK. Policies of listeners choose a port of a group of servers.

Replies are bce-sdk-go's services/appblb/model.go. Groups of addresses, HTTPS and TLS are not emulated.
"""

from __future__ import annotations

from lanecast_lab.cloud.api.app_server_groups import (
    GROUP,
    POLICY,
    PORT,
    SERVER,
    create_group,
    create_port,
    create_servers,
    delete_group,
    delete_ports,
    delete_servers,
    find_group,
    list_groups,
    list_mounted,
    list_servers,
    list_unmounted,
    update_group,
    update_port,
    update_servers,
)
from lanecast_lab.cloud.api.balancers import (
    CHANGED,
    CREATED,
    LAST_PORT,
    LISTENERS_DELETED,
    Balancers,
    asked_port,
    check_listener,
)
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    checked,
    fields,
    new_id,
    one_of,
    shown,
)
from lanecast_lab.cloud.api.errors import denied, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.store import Resource

KIND, LISTENER = "app-blb", "app-blb-listener"
LAST_PRIORITY = 32768
"""[assumed] Of a policy, from 1 on."""

DEFAULTS: dict[str, JsonObject] = {
    "TCP": {"tcpSessionTimeout": 900, "description": ""},
    "UDP": {"udpSessionTimeout": 90, "description": ""},
    "HTTP": {"keepSession": False, "xForwardedFor": False, "serverTimeout": 30, "description": ""},
}
"""[docs] What each kind of listener has when nothing is said, as the plain balancers' have."""


def _is_behind(context: Context, blb: Resource, instance_id: str) -> bool:
    groups = context.store.find(GROUP, parent=blb.key)
    return any(context.store.count(SERVER, parent=one.key, equal={"instanceId": instance_id}) for one in groups)


BALANCERS = Balancers(KIND, LISTENER, DEFAULTS, check_listener, _is_behind)


def _listener(context: Context, blb: Resource, port: int, kind: str) -> Resource:
    """The listener of a port. [SDK] When listeners of several types have it, the type has to be said."""
    if kind:
        one_of("type", kind, DEFAULTS)
    keys = [BALANCERS.listener_key(blb, one, port) for one in ((kind,) if kind else DEFAULTS)]
    found = [one for one in (context.store.get(LISTENER, key) for key in keys) if one]
    if not found:
        raise no_such(f"listener of load balancer {blb.key}", str(port))
    if len(found) > 1:
        raise inappropriate(f"type: is missing, and several listeners have port {port}")
    return found[0]


def _check_policy(context: Context, blb: Resource, listener: Resource, policy: JsonObject) -> None:
    between("appPolicyVos.priority", policy["priority"], 1, LAST_PRIORITY)
    between("appPolicyVos.backendPort", policy["backendPort"], 1, LAST_PORT)
    for rule in policy["ruleList"]:
        checked(rule, fields("key! value!"), "appPolicyVos.ruleList.")
    group = find_group(context, blb, policy["appServerGroupId"])
    if not context.store.find(PORT, parent=group.key, equal={"port": policy["backendPort"]}):
        raise no_such(f"port of server group {group.key}", str(policy["backendPort"]))
    _check_priority(context, listener, policy["priority"])


def _check_priority(context: Context, listener: Resource, priority: int, but: str = "") -> None:
    for other in context.store.find(POLICY, parent=listener.key, equal={"priority": priority}):
        if other.key != but:
            raise denied(f"priority: policy {other.key} has {priority} already")


def create_policies(context: Context) -> None:
    """All of them, or none. [SDK] A TCP listener has one, whose rule matches everything."""
    blb = BALANCERS.begin(context)
    listener = _listener(context, blb, context.body["listenerPort"], context.body.get("type", ""))
    if not context.body["appPolicyVos"]:
        raise inappropriate("appPolicyVos: is empty")
    for body in context.body["appPolicyVos"]:
        policy = checked(body, _POLICY, "appPolicyVos.")
        _check_policy(context, blb, listener, policy)
        if listener.body["_type"] == "TCP" and context.store.count(POLICY, parent=listener.key):
            raise denied(f"a TCP listener has one policy, and port {listener.body['listenerPort']} has it already")
        policy_id = new_id("policy")
        record = {"id": policy_id, "desc": "", **policy, "frontendPort": listener.body["listenerPort"]}
        record |= {"portType": listener.body["_type"], "groupType": "Server"}
        context.make(POLICY, policy_id, record, parent=listener.key)


def _show_policy(context: Context, policy: Resource) -> JsonObject:
    group = context.store.get(GROUP, policy.body["appServerGroupId"])
    return {**shown(policy.body), "appServerGroupName": group.body["name"] if group else ""}


def list_policies(context: Context) -> JsonObject:
    """Pages of a listener's policies."""
    blb, port = BALANCERS.require(context), asked_port(context, "port")
    listener = _listener(context, blb, port, context.query.get("type", ""))
    return page(context, POLICY, "policyList", lambda one: _show_policy(context, one), listener.key)


def _policy(context: Context, listener: Resource, policy_id: str) -> Resource:
    found = context.store.get(POLICY, policy_id, context.scope)
    if found is None or found.parent != listener.key:
        raise no_such(f"policy of port {listener.body['listenerPort']}", policy_id)
    return found


def update_policies(context: Context) -> None:
    """Change priorities and descriptions: all of them, or none."""
    blb = BALANCERS.begin(context)
    listener = _listener(context, blb, context.body["port"], context.body.get("type", ""))
    for body in context.body["policyList"]:
        wanted = checked(body, fields("policyId! priority:i desc"), "policyList.")
        policy = _policy(context, listener, wanted.pop("policyId"))
        if "priority" in wanted:
            between("policyList.priority", wanted["priority"], 1, LAST_PRIORITY)
            _check_priority(context, listener, wanted["priority"], policy.key)
        policy.body |= wanted
        context.store.save(policy)


def delete_policies(context: Context) -> None:
    """All of those named, or none."""
    blb = BALANCERS.begin(context)
    listener = _listener(context, blb, context.body["port"], context.body.get("type", ""))
    for policy_id in context.body["policyIdList"]:
        context.store.remove(_policy(context, listener, policy_id))


_POLICY = fields("appServerGroupId! backendPort:i! priority:i! ruleList:[{}]! desc")
_HEALTH = (
    "enableHealthCheck:b healthCheck healthCheckPort:i healthCheckUrlPath healthCheckTimeoutInSecond:i"
    " healthCheckIntervalInSecond:i healthCheckDownRetry:i healthCheckUpRetry:i healthCheckNormalStatus healthCheckHost"
    " udpHealthCheckString"
)
_OWN = {
    "TCP": "tcpSessionTimeout:i description",
    "UDP": "udpSessionTimeout:i description",
    "HTTP": (
        "keepSession:b keepSessionType keepSessionTimeout:i keepSessionCookieName xForwardedFor:b xForwardedProto:b"
        " serverTimeout:i redirectPort:i description"
    ),
}
_SERVERS = fields("sgId! backendServerList:[{}]!")
_ALL = "/v1/appblb"
_ONE = _ALL + "/{blbId}"
_GROUPS, _PORTS = _ONE + "/appservergroup", _ONE + "/appservergroupport"
_SERVERS_PATH, _POLICIES = _ONE + "/blbrs", _ONE + "/policys"


def _listener_calls(kind: str) -> tuple[Call, ...]:
    path, name, own = f"{_ONE}/{kind}listener", f"app_{kind.lower()}_listener", _OWN[kind]
    made = fields(f"listenerPort:i! scheduler! {own}")
    return (
        Call(f"create_{name}", "POST", path, BALANCERS.create_listener(kind), made),
        Call(f"describe_{name}", "GET", path, BALANCERS.list_listeners(kind)),
        Call(f"update_{name}", "PUT", path, BALANCERS.update_listener(kind), fields(f"scheduler {own}")),
    )


def _group_calls() -> tuple[Call, ...]:
    made = fields("name desc backendServerList:[{}]")
    return (
        Call("create_app_server_group", "POST", _GROUPS, create_group(BALANCERS), made),
        Call("describe_app_server_group", "GET", _GROUPS, list_groups(BALANCERS)),
        Call("update_app_server_group", "PUT", _GROUPS, update_group(BALANCERS), fields("sgId! name desc")),
        Call("delete_app_server_group", "PUT", _GROUPS, delete_group(BALANCERS), fields("sgId!"), "delete"),
        Call(
            "create_app_server_group_port",
            "POST",
            _PORTS,
            create_port(BALANCERS),
            fields(f"sgId! port:i! type! {_HEALTH}"),
        ),
        Call(
            "update_app_server_group_port",
            "PUT",
            _PORTS,
            update_port(BALANCERS),
            fields(f"sgId! portId! {_HEALTH}"),
        ),
        Call(
            "delete_app_server_group_port",
            "PUT",
            _PORTS,
            delete_ports(BALANCERS),
            fields("sgId! portIdList:[]!"),
            "batchdelete",
        ),
        Call("create_app_blb_rs", "POST", _SERVERS_PATH, create_servers(BALANCERS), _SERVERS),
        Call("describe_app_blb_rs", "GET", _SERVERS_PATH, list_servers(BALANCERS)),
        Call("update_app_blb_rs", "PUT", _SERVERS_PATH, update_servers(BALANCERS), _SERVERS),
        Call(
            "delete_app_blb_rs",
            "PUT",
            _SERVERS_PATH,
            delete_servers(BALANCERS),
            fields("sgId! backendServerIdList:[]!"),
            "batchdelete",
        ),
        Call("describe_rs_mount", "GET", _ONE + "/blbrsmount", list_mounted(BALANCERS)),
        Call("describe_rs_unmount", "GET", _ONE + "/blbrsunmount", list_unmounted(BALANCERS)),
    )


SERVICE = Service(
    "appblb",
    (
        Call("create_app_loadbalancer", "POST", _ALL, BALANCERS.create, CREATED),
        Call("describe_app_loadbalancers", "GET", _ALL, BALANCERS.list_all),
        Call("describe_app_loadbalancer_detail", "GET", _ONE, BALANCERS.get),
        Call("update_app_loadbalancer", "PUT", _ONE, BALANCERS.update, CHANGED),
        Call("delete_app_loadbalancer", "DELETE", _ONE, BALANCERS.delete),
        *(call for kind in DEFAULTS for call in _listener_calls(kind)),
        Call("describe_app_all_listener", "GET", _ONE + "/listener", BALANCERS.list_all_listeners),
        Call(
            "delete_app_listeners",
            "PUT",
            _ONE + "/listener",
            BALANCERS.delete_listeners,
            LISTENERS_DELETED,
            "batchdelete",
        ),
        *_group_calls(),
        Call(
            "create_policys",
            "POST",
            _POLICIES,
            create_policies,
            fields("listenerPort:i! appPolicyVos:[{}]! type"),
        ),
        Call("describe_policys", "GET", _POLICIES, list_policies),
        Call(
            "update_policys",
            "PUT",
            _POLICIES,
            update_policies,
            fields("port:i! policyList:[{}]! type"),
            "batchupdate",
        ),
        Call(
            "delete_policys",
            "PUT",
            _POLICIES,
            delete_policies,
            fields("port:i! policyIdList:[]! type"),
            "batchdelete",
        ),
    ),
    endpoint="blb",
)
