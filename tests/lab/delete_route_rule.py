"""Deletes one rule of a VPC's route table, as somebody would by hand: ``delete_route_rule.py REGION VPC DESTINATION``."""

from __future__ import annotations

import os
import sys

from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.vpc_client import VpcClient

from lanecast_infra.provider.clients import Clients, Settings


def main() -> None:
    region, vpc, destination = sys.argv[1:]
    key, secret, endpoint = (os.environ[f"BAIDUCLOUD_{name}"] for name in ("ACCESS_KEY", "SECRET_KEY", "ENDPOINT"))
    clients = Clients(Settings(key, secret, region, endpoint))
    (found,) = (one for one in clients.get(VpcClient, region).list_vpcs().vpcs if one.name == vpc)
    routes = clients.get(RouteClient, region)
    (rule,) = (
        one for one in routes.get_route(vpc_id=found.vpc_id).route_rules if one.destination_address == destination
    )
    routes.delete_route(rule.route_rule_id)


if __name__ == "__main__":
    main()
