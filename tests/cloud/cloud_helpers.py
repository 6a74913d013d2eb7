"""What several of these tests need: things to build on, and waiting for them to be gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from baidubce.exception import BceHttpClientError
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.et.et_client import EtClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_under_test import Cloud

SPEC = os.environ.get("LANECAST_TEST_REAL_SPEC", "bcc.g5.c2m8")


def is_gone(read: Callable[..., Any], *arguments: Any) -> bool:
    """Whether reading says that it is not there."""
    try:
        read(*arguments)
    except BceHttpClientError as error:
        if error.status_code != 404:
            raise
        return True
    return False


def delete(cloud: Cloud, remove: Callable[..., Any], read: Callable[..., Any], *arguments: Any) -> None:
    """Delete, unless it is gone already, and wait until it is."""
    if not is_gone(read, *arguments):
        remove(*arguments)
        cloud.eventually(lambda: is_gone(read, *arguments), True)


def passes(seen: list[str], *states: str) -> bool:
    """Whether what was seen is these states in this order, the last one included; a short one may have been missed."""
    rest = iter(states)
    return seen[-1] == states[-1] and all(state in rest for state in seen)


def a_line(cloud: Cloud) -> str:
    """A new dedicated line, in whatever state it begins."""
    who = ("name", "123", "a@b.example", "somewhere")
    made: str = cloud.client(EtClient).create_et_dcphy("line", "ISP_CTC", "1G", "SINGLE", "BJYZ", *who).id
    return made


def a_vpc(cloud: Cloud, later: ExitStack, cidr: str = "10.0.0.0/16", region: str = "bj") -> str:
    """A VPC that is deleted after the test."""
    vpcs = cloud.client(VpcClient, region)
    vpc_id: str = vpcs.create_vpc("for a test", cidr).vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    return vpc_id


def a_subnet(cloud: Cloud, later: ExitStack, vpc_id: str, cidr: str = "10.0.1.0/24", zone: str = "cn-bj-d") -> str:
    """A subnet that is deleted after the test."""
    subnets = cloud.client(SubnetClient)
    subnet_id: str = subnets.create_subnet("for a test", zone, cidr, vpc_id).subnet_id
    later.callback(subnets.delete_subnet, subnet_id)
    return subnet_id


def a_group(cloud: Cloud, later: ExitStack, vpc_id: str, *rules: Any) -> str:
    """A security group that is deleted after the test."""
    bcc = cloud.client(BccClient)
    group_id: str = bcc.create_security_group("for a test", list(rules), vpc_id=vpc_id, desc="lab").security_group_id
    later.callback(bcc.delete_security_group, group_id)
    return group_id


def eip_of(cloud: Cloud, address: str) -> Any:
    """An elastic address as the list shows it, or None."""
    found = cloud.client(EipClient).list_eips(eip=address).eip_list
    return found[0] if found else None


def eip_status(cloud: Cloud, address: str) -> str:
    """Its state; empty when it is gone."""
    found = eip_of(cloud, address)
    return found.status if found else ""


def an_eip(cloud: Cloud, later: ExitStack) -> str:
    """A free elastic address that is released after the test."""
    eips = cloud.client(EipClient)
    address: str = eips.create_eip(1).eip
    cloud.eventually(lambda: eip_status(cloud, address), "available")
    later.callback(release_eip, cloud, address)
    return address


def release_eip(cloud: Cloud, address: str) -> None:
    """Wait until it is free, release it, wait until it is gone."""
    if eip_status(cloud, address):
        cloud.eventually(lambda: eip_status(cloud, address), "available")
        cloud.client(EipClient).release_eip(address)
        cloud.eventually(lambda: eip_status(cloud, address), "")


def instance_status(cloud: Cloud, instance_id: str) -> str:
    """Its state."""
    found: str = cloud.client(BccClient).get_instance(instance_id).instance.status
    return found


def an_image(cloud: Cloud) -> str:
    """An image of the list."""
    found: str = cloud.client(BccClient).list_images("System").images[0].id
    return found


def instances(cloud: Cloud, later: ExitStack, subnet_id: str, **more: Any) -> list[str]:
    """Instances, running, that are released after the test."""
    bcc = cloud.client(BccClient)
    made: list[str] = bcc.create_instance_by_spec(SPEC, an_image(cloud), subnet_id=subnet_id, **more).instance_ids
    for instance_id in made:
        later.callback(delete, cloud, bcc.release_instance, bcc.get_instance, instance_id)
        cloud.eventually(partial(instance_status, cloud, instance_id), "Running")
    return made
