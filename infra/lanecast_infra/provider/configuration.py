"""The provider's own settings: from the stack's configuration, a provider's arguments, or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lanecast_infra.provider.clients import Settings, endpoint_mistake
from lanecast_infra.provider.model import Field, Kind, Values
from lanecast_infra.provider.wire import known

SETTINGS: Final = (
    Field("accessKey", Kind.STRING, "The access key's id.", "BceCredentials: access_key_id", required=True),
    Field("secretKey", Kind.STRING, "Its secret.", "BceCredentials: secret_access_key", required=True, secret=True),
    Field(
        "region", Kind.STRING, "The region's code, as in host names: bj, gz, hkg.", "[docs: endpoints]", required=True
    ),
    Field(
        "endpoint",
        Kind.STRING,
        "Where requests go instead of to the cloud's own hosts: http://HOST:PORT of an emulated cloud.",
        "BceClientConfiguration: endpoint, proxy_host, proxy_port",
    ),
)
VARIABLES: Final = {
    "accessKey": "BAIDUCLOUD_ACCESS_KEY",
    "secretKey": "BAIDUCLOUD_SECRET_KEY",
    "region": "BAIDUCLOUD_REGION",
    "endpoint": "BAIDUCLOUD_ENDPOINT",
}
"""The environment's names, for what the configuration leaves out."""
OF_THE_ENGINE: Final = frozenset({"version", "pluginDownloadURL", "__internal"})


def check_settings(values: Values) -> list[tuple[str, str]]:
    """Every mistake of what is given. What is missing may still come from the environment."""
    names = {field.name for field in SETTINGS} | OF_THE_ENGINE
    mistakes = [
        (name, f"baiducloud has no such setting; it has {', '.join(VARIABLES)}") for name in values if name not in names
    ]
    given = known(values)
    mistakes += [(name, "must be a string") for name in VARIABLES if name in given and not isinstance(given[name], str)]
    if isinstance(endpoint := given.get("endpoint"), str) and (text := endpoint_mistake(endpoint)):
        mistakes.append(("endpoint", text))
    return mistakes


def settings_from(values: Values, environment: Mapping[str, str]) -> Settings | str:
    """The settings, or what is wrong with them."""
    found = {name: values.get(name) or environment.get(variable) for name, variable in VARIABLES.items()}
    for field in SETTINGS:
        if field.required and not found[field.name]:
            command = f"pulumi config set {_flag(field)}baiducloud:{field.name}"
            return f"baiducloud:{field.name} is missing: run `{command}`, or set {VARIABLES[field.name]}"
    if any(not isinstance(value, str) for value in found.values() if value is not None):
        return "the settings of baiducloud are not known yet"
    if found["endpoint"] and (text := endpoint_mistake(str(found["endpoint"]))):
        return f"baiducloud:endpoint: {text}"
    return Settings(str(found["accessKey"]), str(found["secretKey"]), str(found["region"]), found["endpoint"] or None)


def _flag(field: Field) -> str:
    return "--secret " if field.secret else ""
