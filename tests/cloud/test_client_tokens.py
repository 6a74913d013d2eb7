"""Client tokens: the same request twice is done once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from uuid import uuid4

from baidubce.services.eip.eip_client import EipClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_helpers import release_eip
from cloud_under_test import Cloud, Emulator, refusal


def test_the_same_token_makes_one_vpc(cloud: Cloud, later: ExitStack) -> None:
    vpcs, token = cloud.client(VpcClient), str(uuid4())
    first = vpcs.create_vpc("once", "10.0.0.0/16", client_token=token).vpc_id
    later.callback(vpcs.delete_vpc, first)
    assert vpcs.create_vpc("once", "10.0.0.0/16", client_token=token).vpc_id == first
    assert [vpc.vpc_id for vpc in vpcs.list_vpcs().vpcs if vpc.name == "once"] == [first]


def test_another_request_with_the_token_is_refused(cloud: Cloud, later: ExitStack) -> None:
    vpcs, token = cloud.client(VpcClient), str(uuid4())
    later.callback(vpcs.delete_vpc, vpcs.create_vpc("once", "10.0.0.0/16", client_token=token).vpc_id)
    wanted = (403, "IdempotentParameterMismatch")
    assert refusal(vpcs.create_vpc, "twice", "10.0.0.0/16", client_token=token) == wanted
    assert [vpc.name for vpc in vpcs.list_vpcs().vpcs if vpc.name == "twice"] == []


def test_concurrent_requests_with_one_token_make_one_vpc(cloud: Cloud, later: ExitStack) -> None:
    token = str(uuid4())
    clients = [cloud.client(VpcClient) for _ in range(16)]
    with ThreadPoolExecutor(len(clients)) as pool:
        made = {*pool.map(lambda one: one.create_vpc("race", "10.0.0.0/16", client_token=token).vpc_id, clients)}
    for vpc_id in made:
        later.callback(clients[0].delete_vpc, vpc_id)
    assert len(made) == 1
    assert [vpc.vpc_id for vpc in clients[0].list_vpcs().vpcs if vpc.name == "race"] == [*made]


def test_a_delete_can_be_repeated_with_its_token(cloud: Cloud) -> None:
    vpcs, token = cloud.client(VpcClient), str(uuid4())
    vpc_id = vpcs.create_vpc("gone", "10.0.0.0/16").vpc_id
    vpcs.delete_vpc(vpc_id, client_token=token)
    vpcs.delete_vpc(vpc_id, client_token=token)
    assert refusal(vpcs.delete_vpc, vpc_id) == (404, "NoSuchObject")


def test_a_refusal_is_not_remembered(shared_emulator: Cloud, later: ExitStack) -> None:
    vpcs, subnets = shared_emulator.client(VpcClient), shared_emulator.client(SubnetClient)
    token = str(uuid4())
    vpc_id = vpcs.create_vpc("first", "10.0.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    in_the_way = subnets.create_subnet("a", "cn-bj-a", "10.0.1.0/24", vpc_id).subnet_id
    again = partial(subnets.create_subnet, "b", "cn-bj-a", "10.0.1.0/24", vpc_id, client_token=token)
    assert refusal(again) == (409, "CidrConflict")
    subnets.delete_subnet(in_the_way)
    later.callback(subnets.delete_subnet, again().subnet_id)


def test_tokens_are_of_an_account_a_region_and_an_endpoint(shared_emulator: Emulator, later: ExitStack) -> None:
    token, made = str(uuid4()), []
    for region, key in (("bj", "testak"), ("hkg", "testak"), ("bj", "otherak")):
        vpcs = shared_emulator.client(VpcClient, region, key=key)
        made.append(vpcs.create_vpc("own", "10.0.0.0/16", client_token=token).vpc_id)
        later.callback(vpcs.delete_vpc, made[-1])
    eips = shared_emulator.client(EipClient)
    later.callback(release_eip, shared_emulator, eips.create_eip(1, client_token=token).eip)
    assert len(set(made)) == 3


def test_a_token_is_not_for_another_path(cloud: Cloud, later: ExitStack) -> None:
    """[docs: VPC, general description] Another path is another request, as another body is."""
    vpcs, subnets, token = cloud.client(VpcClient), cloud.client(SubnetClient), str(uuid4())
    vpc_id = vpcs.create_vpc("one", "10.0.0.0/16", client_token=token).vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    make = partial(subnets.create_subnet, "other", "cn-bj-d", "10.0.1.0/24", vpc_id, client_token=token)
    assert refusal(make) == (403, "IdempotentParameterMismatch")
    assert subnets.list_subnets(vpc_id=vpc_id).subnets == []


def used_hours_ago(emulator: Emulator, hours: float) -> None:
    """Make every token that many hours older, with the server away."""
    emulator.stop()
    with closing(sqlite3.connect(emulator.state / "cloud.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE tokens SET kept_at = kept_at - ?", (hours * 3600,))
    emulator.start()


def test_a_token_is_kept_for_a_day_from_its_last_use(start: Callable[..., Emulator]) -> None:
    """[docs: VPC, general description] Whoever keeps sending a token keeps it."""
    emulator = start("--async-delay", "0")
    made = []
    for hours in (0, 20, 20, 25):
        used_hours_ago(emulator, hours)
        made.append(emulator.client(VpcClient).create_vpc("kept", "10.0.0.0/16", client_token="kept").vpc_id)
    assert made[0] == made[1] == made[2] != made[3]


def test_a_token_that_is_too_long_is_refused(cloud: Cloud) -> None:
    vpcs = cloud.client(VpcClient)
    assert refusal(vpcs.create_vpc, "long", "10.0.0.0/16", client_token="x" * 65)[0] == 400
