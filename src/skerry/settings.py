"""Typed, frozen configuration of one node: a TOML file, overruled by environment variables. Unknown keys are refused.

Every field carries the text of its reference page (`msgspec.Meta(description=…)`); `describe()` lists them all.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from skerry.errors import Fault, InvalidError

LogLevel = Literal["debug", "info", "warning", "error"]
Port = Annotated[int, Meta(ge=1, le=65535)]
OUTSIDE = frozenset({"SKERRY_CONFIG", "SKERRY_ENDPOINT", "SKERRY_TOKEN", "SKERRY_CA", "SKERRY_ETSI"})
"""SKERRY_* variables that are not settings of a node: where its file is, the CLI's access, the tests' data."""


LISTS = frozenset(
    {"vims", "more_ports", "tls_names", "notification_targets", "mec_dns_forward", "mec_zones", "proxies"}
)
"""Settings that have several values; all but the first may be written with commas in a variable."""


class Vim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One infrastructure that the node registers at its start."""

    id: Annotated[str, Meta(min_length=1, description="Its name in requests and records.")]
    type: Annotated[str, Meta(min_length=1, description="Type of the driver: `local`, `docker`, `simulated` …")]
    settings: Annotated[Mapping[str, Any], Meta(description="Settings of the driver, as its reference page says.")] = {}
    zone: Annotated[str, Meta(description="Zone that placement rules may name.")] = ""


class Counterpart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An orchestrator or manager of somebody else, and how this node says there who it is."""

    endpoint: Annotated[
        str, Meta(pattern="^https?://[^/]+", description="Root of its APIs: `https://host:port`, perhaps with a path.")
    ]
    client_id: Annotated[str, Meta(description="Identifier of this node there, for OAuth2 client credentials.")] = ""
    secret_file: Annotated[Path | None, Meta(description="File with the secret that belongs to `client_id`.")] = None
    token_endpoint: Annotated[
        str, Meta(description="Where OAuth2 tokens are; default: `/oauth2/token` below `endpoint`.")
    ] = ""
    ca: Annotated[Path | None, Meta(description="PEM file of an authority to trust there, beside the system's.")] = None


class ForeignNfvo(Counterpart, frozen=True, kw_only=True):
    """The NFVO of somebody else that grants what this node's VNFs need."""


class ForeignVnfm(Counterpart, frozen=True, kw_only=True):
    """The VNF manager of somebody else that has some of the VNFs that this node orchestrates."""

    id: Annotated[str, Meta(min_length=1, description="Its name in records and messages.")]
    vnfm_info: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="VNFs whose descriptor has one of these as `vnfm_info` are its own."),
    ]


class ServiceNfvo(Counterpart, frozen=True, kw_only=True):
    """The NFVO of somebody else that has infrastructures in a zone: edge applications may go there."""

    id: Annotated[str, Meta(min_length=1, description="Its name in records and messages.")]
    endpoint: Annotated[
        str,
        Meta(
            pattern="^https?://[^/]+",
            description="Root of its APIs: `https://host:port`, of OSM `https://host:9999/osm`.",
        ),
    ]
    zone: Annotated[str, Meta(min_length=1, description="The zone, which is a MEC host for placement.")]
    dialect: Annotated[
        Literal["sol005", "osm"], Meta(description="What it speaks: SOL005 version 2, or the interface of OSM.")
    ] = "sol005"
    client_id: Annotated[str, Meta(description="Identifier (OSM: user) of this node there.")] = ""
    project: Annotated[str, Meta(description="Project of the user at OSM.")] = "admin"
    vim_account: Annotated[str, Meta(description="Identifier of the VIM account to use at OSM.")] = ""


class LoginNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The node where callers of this one may have logged in."""

    endpoint: Annotated[str, Meta(pattern="^https?://[^/]+", description="Its address: `https://host:port`.")]
    ca: Annotated[Path | None, Meta(description="PEM file of an authority to trust there, beside the system's.")] = None

    tenants: Annotated[
        dict[str, Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]],
        Meta(
            description='Which of its tenants count here, and as which of this node\'s: `{ there = "here" }`. Without any, '
            "all do, by their names."
        ),
    ] = {}
    role: Annotated[
        Literal["admin", "operator", "guest"],
        Meta(description="The most that its callers may be here, whatever they are there."),
    ] = "operator"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be configured about a node."""

    data_dir: Annotated[
        Path,
        Meta(
            description="Folder of everything that the node keeps. Default: `/var/lib/skerry` for root, else "
            "`$XDG_DATA_HOME/skerry` (`~/.local/share/skerry`)."
        ),
    ]
    node: Annotated[
        str,
        Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", description="Name of the node; owner of all it makes."),
    ] = "skerry"
    listen: Annotated[str, Meta(description="Address on which the API listens.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port of the API; 0 takes any free one.")] = 8443
    more_ports: Annotated[
        tuple[Port, ...],
        Meta(
            description="More TCP ports on which the same APIs are served, such as those where programs expect an edge "
            "platform, its manager or its DNS interface."
        ),
    ] = ()
    plain: Annotated[
        bool,
        Meta(description="Serve HTTP without TLS, for development; refused unless `listen` is a loopback address."),
    ] = False
    anonymous: Annotated[
        bool,
        Meta(
            description="Let callers without a token in as administrators, for clients that cannot show one, such as "
            "`openstack --os-auth-type none`. Only with `plain`; requests of web pages are refused."
        ),
    ] = False
    tls_names: Annotated[
        tuple[str, ...],
        Meta(description="More host names and addresses that the server certificate shall hold."),
    ] = ()
    proxies: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[0-9a-fA-F.:]+(/[0-9]+)?$")], ...],
        Meta(
            description="Addresses or networks of reverse proxies of yours: what they say in `X-Forwarded-For` and "
            "`X-Forwarded-Proto` counts. From anybody else it does not."
        ),
    ] = ()
    vims: Annotated[
        tuple[Vim, ...], Meta(description="Infrastructures to register at start, as tables `[[vims]]`.")
    ] = (Vim(id="local", type="local"),)
    step_concurrency: Annotated[
        int, Meta(ge=1, le=1024, description="How many steps of all operations run at the same time.")
    ] = 64
    sweep_s: Annotated[
        float,
        Meta(gt=0, le=86400, description="Seconds between two comparisons of all records with the infrastructure."),
    ] = 30.0
    service_grace_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds for which the service of a VNF that heals itself must be down, without an alarm of one "
            "of its VNFCs, before it is healed with the cause serviceDown.",
        ),
    ] = 30.0
    keep_events: Annotated[int, Meta(ge=100, description="How many of the newest events are kept.")] = 200_000
    keep_operations_days: Annotated[
        float, Meta(gt=0, description="Days for which finished operations and their steps are kept.")
    ] = 90.0
    stop_grace_s: Annotated[
        float, Meta(ge=0, le=3600, description="Seconds that a stopping node gives running requests and steps.")
    ] = 2.0
    graceful_stop_s: Annotated[
        float,
        Meta(
            ge=0, le=86400, description="Seconds that a graceful stop of an instance waits when the request names none."
        ),
    ] = 10.0
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest JSON body of a request, in bytes.")] = 1 << 20
    max_upload_bytes: Annotated[
        int, Meta(ge=1024, description="Largest package archive that may be uploaded, in bytes.")
    ] = 4 << 30
    page_size: Annotated[
        int, Meta(ge=1, le=100_000, description="Most entries in one answer of a list; the next page is linked.")
    ] = 500
    token_life_s: Annotated[
        int, Meta(ge=10, le=86_400, description="Seconds for which an OAuth2 access token is valid.")
    ] = 3600
    token_key_days: Annotated[
        float, Meta(gt=0, le=3650, description="Days after which the key that signs access tokens is replaced.")
    ] = 30.0
    client_rate_per_s: Annotated[
        float,
        Meta(ge=0, description="Requests a second that an OAuth2 client may make, unless it has its own; 0: no limit."),
    ] = 200.0
    client_burst: Annotated[
        float, Meta(ge=1, description="Requests that an OAuth2 client may make at once before its rate counts.")
    ] = 400.0
    client_certificates: Annotated[
        Literal["off", "optional", "required"],
        Meta(description="Whether callers may or must show a certificate of the node's authority (mutual TLS)."),
    ] = "off"
    granting_nfvo: Annotated[
        ForeignNfvo | None,
        Meta(
            description="The NFVO of somebody else to ask for grants before resources of VNFs are allocated, as a table "
            "`[granting_nfvo]`; without it this node grants them itself."
        ),
    ] = None
    vnf_managers: Annotated[
        tuple[ForeignVnfm, ...],
        Meta(
            description="VNF managers of others, as tables `[[vnf_managers]]`: they instantiate the VNFs that are theirs."
        ),
    ] = ()
    service_nfvos: Annotated[
        tuple[ServiceNfvo, ...],
        Meta(
            description="NFVOs of others, as tables `[[service_nfvos]]`: edge applications in their zones are theirs."
        ),
    ] = ()
    login_node: Annotated[
        LoginNode | None,
        Meta(
            description="Another node whose access tokens are taken here, as a table `[login_node]`: it is asked whose they "
            "are; `tenants` and `role` of the table say which of them count, and as what at most."
        ),
    ] = None
    package_signatures: Annotated[
        Literal["require", "warn", "off"],
        Meta(
            description="Which packages are accepted: only signed ones whose signer leads to the trust store; unsigned "
            "ones too, with a warning; or all, without a look at signatures."
        ),
    ] = "warn"
    trust_store: Annotated[
        Path | None,
        Meta(description="Folder of PEM certificates: authorities, or signers, whose signed packages are trusted."),
    ] = None
    notification_targets: Annotated[
        tuple[str, ...],
        Meta(
            description="Where notifications may go beside public addresses: networks (`10.0.0.0/8`), host names, or "
            "`private` for every private network. This machine itself is allowed while `listen` is a loopback address."
        ),
    ] = ()
    notification_test: Annotated[
        bool, Meta(description="Whether a new subscription's address must first answer a GET with 204.")
    ] = True
    notification_duplicates: Annotated[
        bool, Meta(description="Allow the same subscription twice; else the second is answered 303 See Other.")
    ] = False
    notification_park_after_s: Annotated[
        float, Meta(gt=0, description="Seconds of trouble after which a subscriber is not tried any more.")
    ] = 86_400.0
    notification_concurrency: Annotated[
        int, Meta(ge=1, le=1024, description="How many notifications are under way at the same time.")
    ] = 64
    notification_ca: Annotated[
        str, Meta(description="PEM file of authorities to trust in subscribers' certificates, beside the system's.")
    ] = ""
    performance_threshold_s: Annotated[
        float, Meta(ge=1, le=86_400, description="Seconds between two comparisons of measurements with thresholds.")
    ] = 10.0
    performance_keep_hours: Annotated[
        float, Meta(gt=0, le=8784, description="Hours for which a report of performance management is kept.")
    ] = 24.0
    mec_endpoint: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^/\s]+)?$",
            description="Address of this node as edge applications reach it, such as `https://10.0.0.1:8443`; it is told to "
            "them and stands in links. Default: as each caller sees the node.",
        ),
    ] = ""
    mec_dns: Annotated[
        Literal["auto", "unbound", "builtin"],
        Meta(
            description="What answers the DNS rules of edge applications: `unbound`, a responder of this program, or unbound "
            "where it is installed. It starts with the first rule."
        ),
    ] = "auto"
    mec_dns_listen: Annotated[str, Meta(description="Address on which DNS rules are answered.")] = "127.0.0.1"
    mec_dns_port: Annotated[
        int, Meta(ge=0, le=65535, description="UDP and TCP port on which DNS rules are answered; 0 takes any free one.")
    ] = 0
    mec_dns_namespace: Annotated[
        str, Meta(description="Network namespace in which DNS rules are answered; empty: that of the node.")
    ] = ""
    mec_dns_forward: Annotated[
        tuple[str, ...],
        Meta(
            description="DNS servers (`address` or `address#port`) that are asked for names of no rule; without any, such "
            "names do not exist."
        ),
    ] = ()
    mec_zones: Annotated[
        Mapping[str, tuple[str, ...]],
        Meta(
            description="Subnets of the users of each zone, as a table `[mec_zones]`. Users get the DNS answers of their own "
            "zone first."
        ),
    ] = {}
    indicator_period_s: Annotated[
        float, Meta(ge=1, le=86_400, description="Seconds between two looks at the indicators of VNFs.")
    ] = 30.0
    dataplane_engine: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9]*$",
            description="Engine of the data plane to prefer: `ebpf`, `ovs` or `simulated`. Empty: the best that this "
            "machine can run.",
        ),
    ] = ""
    log_level: Annotated[LogLevel, Meta(description="Least severity that is logged.")] = "info"

    def __post_init__(self) -> None:
        ports = [self.port, *self.more_ports]
        if len(set(ports)) != len(ports):
            raise ValueError(f"more_ports has a port twice, or that of the API itself: {ports}")
        if self.plain and not is_loopback(self.listen):
            raise ValueError(f"plain is only for a loopback address, listen is {self.listen}")
        if self.anonymous and not self.plain:
            raise ValueError("anonymous is only for a plain node on a loopback address: set plain, too")
        if self.package_signatures == "require" and self.trust_store is None:
            raise ValueError("package_signatures is require, but trust_store names no folder")
        for entry in self.notification_targets:
            if "/" in entry:
                _require_network(entry)
        for subnet in (one for subnets in self.mec_zones.values() for one in subnets):
            _require_network(subnet, "mec_zones")
        for setting, named in (
            ("vims", self.vims),
            ("vnf_managers", self.vnf_managers),
            ("service_nfvos", self.service_nfvos),
        ):
            names = [one.id for one in named]
            if len(set(names)) != len(names):
                raise ValueError(f"{setting} have the same id twice: {', '.join(sorted(names))}")


def _require_network(text: str, setting: str = "notification_targets") -> None:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(f"{setting}: {text} is no network: {error}") from error


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """One setting for the reference page. `default` is JSON text, empty for one that has none of its own."""

    name: str
    variable: str
    type: str
    default: str
    text: str


def describe(of: type[msgspec.Struct] = Settings) -> tuple[Description, ...]:
    """Every setting with its variable, type, default and text."""
    hints = get_type_hints(of, include_extras=True)
    return tuple(
        Description(
            name=field.name,
            variable=f"SKERRY_{field.name.upper()}" if of is Settings else "",
            type=_type_text(field.type),
            default="" if field.default is msgspec.NODEFAULT else msgspec.json.encode(field.default).decode(),
            text=next((m.description for m in hints[field.name].__metadata__ if isinstance(m, Meta)), "") or "",
        )
        for field in msgspec.structs.fields(of)
    )


def _type_text(annotation: Any) -> str:
    inner = getattr(annotation, "__origin__", annotation)
    text = inner.__name__ if isinstance(inner, type) and not hasattr(inner, "__args__") else str(inner)
    return re.sub(r"\b(skerry\.settings|typing|pathlib|collections\.abc)\.", "", text)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def default_data_dir(env: Mapping[str, str], *, root: bool) -> Path:
    """`/var/lib/skerry` for root, the XDG data folder for everyone else."""
    if root:
        return Path("/var/lib/skerry")
    home = Path(env.get("XDG_DATA_HOME") or Path(env.get("HOME", "~")).expanduser() / ".local/share")
    return home / "skerry"


def default_file(env: Mapping[str, str], *, root: bool) -> Path:
    """Where the settings file is looked for when nobody names one."""
    if root:
        return Path("/etc/skerry/skerry.toml")
    home = Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME", "~")).expanduser() / ".config")
    return home / "skerry/skerry.toml"


def load(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of `path` (a missing default file is empty), overruled by `env`, then by `overrides`.

    `InvalidError` names every unknown key with its file, and the first wrong value.
    """
    root = os.geteuid() == 0
    named = path or (Path(env["SKERRY_CONFIG"]) if env.get("SKERRY_CONFIG") else None)
    file = named or default_file(env, root=root)
    text = _text(file, needed=named is not None)
    table = _parse(file, text)
    faults = [*_unknown_keys(table, text, file), *_unknown_variables(env)]
    if faults:
        raise InvalidError("cannot use these settings", faults=faults, suggestion="mend every place that is named")
    values: dict[str, Any] = {"data_dir": str(default_data_dir(env, root=root)), **table, **_from_env(env)}
    values.update((key, value) for key, value in (overrides or {}).items() if value is not None)
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        fault = _value_fault(str(error), text, file, env)
        raise InvalidError(
            "cannot use these settings", faults=[fault], suggestion="correct the value that is named"
        ) from error


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise ValueError(f"Expected `{kind.__name__}`, got {value!r}")


def _text(file: Path, *, needed: bool) -> str:
    try:
        return file.read_text()
    except FileNotFoundError as error:
        if not needed:
            return ""
        raise InvalidError(
            f"cannot read the settings file {file}: it does not exist", suggestion="name an existing file with --config"
        ) from error
    except OSError as error:
        raise InvalidError(
            f"cannot read the settings file {file}: {error.strerror}", suggestion="check its permissions"
        ) from error


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
        fault = Fault(message=str(error), code="toml", file=str(file), line=line, column=column, fix="write valid TOML")
        raise InvalidError("cannot read the settings file", faults=[fault], suggestion="mend the TOML") from error


def _unknown_keys(table: Mapping[str, Any], text: str, file: Path) -> list[Fault]:
    known = [field.name for field in msgspec.structs.fields(Settings)]
    return [
        Fault(
            message=f"{key} is no setting",
            code="unknown-key",
            file=str(file),
            line=_line_of(key, text),
            path=key,
            fix=_nearest(key, known),
        )
        for key in table
        if key not in known
    ]


def _unknown_variables(env: Mapping[str, str]) -> list[Fault]:
    known = {f"SKERRY_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    return [
        Fault(
            message=f"{name} is no setting",
            code="unknown-key",
            file="environment",
            path=name,
            fix=_nearest(name, sorted(known)),
        )
        for name in sorted(env)
        if name.startswith("SKERRY_") and name not in known | OUTSIDE
    ]


def _nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else "remove it; the settings are: " + ", ".join(known)


def _line_of(key: str, text: str) -> int:
    found = re.search(rf"^\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=\].]", text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 0


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        raw = env.get(f"SKERRY_{field.name.upper()}")
        if raw is not None:
            values[field.name] = _structured(field.name, raw) if field.name in LISTS else raw
    return values


def _structured(name: str, raw: str) -> Any:
    if name not in ("vims", "mec_zones") and not raw.lstrip().startswith("["):
        return [part.strip() for part in raw.split(",") if part.strip()]
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        fault = Fault(
            message=f"not valid JSON: {error}", code="json", file="environment", path=f"SKERRY_{name.upper()}"
        )
        raise InvalidError("cannot use these settings", faults=[fault], suggestion="write the value as JSON") from error


def _value_fault(message: str, text: str, file: Path, env: Mapping[str, str]) -> Fault:
    found = re.search(r"at `\$\.([a-z_]+)", message) or re.match("([a-z_]+)", message)  # our own begin with the setting
    key = found[1] if found else ""
    if f"SKERRY_{key.upper()}" in env:
        return Fault(message=message, code="value", file="environment", path=f"SKERRY_{key.upper()}")
    line = _line_of(key, text) if key else 0
    return Fault(message=message, code="value", file=str(file) if line else "", line=line, path=key)
