"""Examples for the help of every command and for the reference page. A test reads each as the command line does."""

from __future__ import annotations

from collections.abc import Mapping

ACCESS: Mapping[str, tuple[str, ...]] = {
    "access": ("skerry access client list",),
    "access whoami": ("skerry access whoami",),
    "access client": ("skerry access client create ci --role operator --tenant shop",),
    "access client list": ("skerry access client list",),
    "access client create": (
        "skerry access client create ci --role operator --tenant shop",
        "skerry access client create reader --scope vnflcm:v2:readonly",
    ),
    "access client rotate": ("skerry access client rotate ci",),
    "access client certificate": ("skerry access client certificate ci --certificate ci.pem --key ci.key",),
    "access client delete": ("skerry access client delete ci",),
    "access quota": ("skerry access quota set shop --vcpus 8 --memory 16GiB",),
    "access quota list": ("skerry access quota list",),
    "access quota show": ("skerry access quota show shop",),
    "access quota set": ("skerry access quota set shop --vcpus 8 --memory 16GiB --ns 3",),
    "access quota delete": ("skerry access quota delete shop",),
}

APPS: Mapping[str, tuple[str, ...]] = {
    "app": ("skerry app create echo --name first", "skerry app instantiate first"),
    "app list": ("skerry app list",),
    "app show": ("skerry app show first",),
    "app create": ("skerry app create echo --name first",),
    "app instantiate": ("skerry app instantiate first", "skerry app instantiate first --host pier --dry-run"),
    "app operate": ("skerry app operate first stop --timeout 10", "skerry app operate first start"),
    "app configure": ("skerry app configure first --file rules.json",),
    "app relocate": ("skerry app relocate first --host pier",),
    "app watch": ("skerry app watch first",),
    "app terminate": ("skerry app terminate first",),
    "app delete": ("skerry app delete first",),
    "app discard": ("skerry app discard first --yes",),
    "app convert": ("skerry app convert examples/mec/echo --output nfv/",),
    "app host": ("skerry app host list",),
    "app host list": ("skerry app host list",),
    "app host release": ("skerry app host release pier",),
    "app host describe": ("skerry app host describe pier --latency 2 --feature UserApps=1.0 --country DE",),
}

DATAPLANE: Mapping[str, tuple[str, ...]] = {
    "dataplane": ("skerry dataplane rules", "skerry dataplane put intents.yaml"),
    "dataplane topology": ("skerry dataplane topology topology.yaml",),
    "dataplane put": ("skerry dataplane put intents.yaml",),
    "dataplane devices": ("skerry dataplane devices",),
    "dataplane ports": ("skerry dataplane ports",),
    "dataplane links": ("skerry dataplane links",),
    "dataplane intents": ("skerry dataplane intents",),
    "dataplane rules": ("skerry dataplane rules --intent local",),
    "dataplane chains": ("skerry dataplane chains",),
    "dataplane connections": ("skerry dataplane connections --device edge",),
    "dataplane drops": ("skerry dataplane drops --device edge",),
    "dataplane next": (
        "skerry dataplane next ran",
        "skerry dataplane next ran --match tcp,tp_dst=80 --to app",
        "skerry dataplane next ran --match tcp,tp_dst=80 --delete",
    ),
    "dataplane graph": ("skerry dataplane graph > graph.json", "skerry dataplane graph graph.json"),
    "dataplane delete": ("skerry dataplane delete intent local",),
    "path": ("skerry path trace ran --field ipv4_dst=10.0.0.2",),
    "path trace": (
        "skerry path trace ran --field ipv4_dst=10.0.0.2 --field l4_dst=80",
        "skerry path trace ran --field gtp_teid=17 --field inner_ipv4_dst=10.9.0.10",
    ),
}

LVNFS: Mapping[str, tuple[str, ...]] = {
    "lvnf": ("skerry lvnf check answer.click", "skerry lvnf list"),
    "lvnf check": ("skerry lvnf check answer.click --set PEER_MAC=02:00:00:00:00:09",),
    "lvnf elements": ("skerry lvnf elements",),
    "lvnf list": ("skerry lvnf list",),
    "lvnf show": ("skerry lvnf show edge-counter",),
    "lvnf handlers": ("skerry lvnf handlers edge-counter",),
    "lvnf read": ("skerry lvnf read edge-counter passed.count",),
    "lvnf write": ("skerry lvnf write edge-counter way.switch 1",),
    "lvnf swap": ("skerry lvnf swap edge-counter better.click",),
    "lvnf migrate": ("skerry lvnf migrate edge-counter tiny --dry-run",),
    "lvnf agent": (
        "skerry lvnf agent --connect wss://node:8443 --ca ca.pem --cert edge7.pem --key edge7.key --bridge br-lvnf",
    ),
    "lvnf agents": ("skerry lvnf agents list",),
    "lvnf agents list": ("skerry lvnf agents list",),
    "lvnf agents add": (
        "skerry lvnf agents add edge7 firewall firewall.click --bridge eth0 --bridge eth1",
        "skerry lvnf agents add edge7 pong pong.click --tap eth0=tap0,10.0.0.1/24",
    ),
    "lvnf agents lvnfs": ("skerry lvnf agents lvnfs edge7",),
    "lvnf agents stats": ("skerry lvnf agents stats edge7 firewall",),
    "lvnf agents handler": ("skerry lvnf agents handler edge7 firewall passed.count",),
    "lvnf agents delete": ("skerry lvnf agents delete edge7 firewall",),
    "lvnf agents forget": ("skerry lvnf agents forget edge7",),
}

NODE: Mapping[str, tuple[str, ...]] = {
    "up": ("skerry up", "skerry up --port 0 --vim local", "skerry up --check"),
    "doctor": ("skerry doctor",),
    "info": ("skerry info",),
    "backup": ("skerry backup saved.tar",),
    "restore": ("skerry restore saved.tar --check", "skerry restore saved.tar"),
    "completion": ('eval "$(skerry completion bash)"',),
    "config": ("skerry config show", "skerry config set endpoint https://edge1:8443"),
    "config show": ("skerry config show",),
    "config set": ("skerry config set endpoint https://edge1:8443", "skerry config set ca ca.pem"),
    "config unset": ("skerry config unset endpoint",),
    "config login": ("skerry config login 6c641fd2-d633-4eb0-9b84-9cbf356143a3",),
    "config logout": ("skerry config logout",),
    "vim": ("skerry vim list", "skerry vim register engine docker"),
    "vim list": ("skerry vim list",),
    "vim show": ("skerry vim show local",),
    "vim register": ("skerry vim register engine docker --set endpoint=unix:///run/docker.sock",),
    "vim update": ("skerry vim update engine --zone pier",),
    "vim refresh": ("skerry vim refresh engine",),
    "vim delete": ("skerry vim delete engine",),
    "vim image": ("skerry vim image list local",),
    "vim image list": ("skerry vim image list local",),
    "vim image add": (
        "skerry vim image add local tools host:curl,dig",
        "skerry vim image add engine ubuntu docker://registry.example/ubuntu:24.04",
    ),
    "vim image rm": ("skerry vim image rm local tools",),
    "image": ("skerry image add sipp sipp.tar",),
    "image list": ("skerry image list",),
    "image add": ("skerry image add sipp sipp.tar",),
    "image download": ("skerry image download sipp --output copy.tar",),
    "image rm": ("skerry image rm sipp",),
    "key": ("skerry key generate mine ~/.ssh/mine",),
    "key list": ("skerry key list",),
    "key add": ("skerry key add laptop ~/.ssh/id_ed25519.pub",),
    "key generate": ("skerry key generate mine ~/.ssh/mine",),
    "key rm": ("skerry key rm laptop",),
    "orphans": ("skerry orphans", "skerry orphans --vim local"),
    "orphans delete": ("skerry orphans delete local compute sk-f35ea9e448f2-lgw-0",),
    "orphans adopt": ("skerry orphans adopt local compute sk-f35ea9e448f2-lgw-0",),
    "orphans recreate": ("skerry orphans recreate local compute sk-f35ea9e448f2-lgw-0",),
    "mep": ("skerry mep rules",),
    "mep platforms": ("skerry mep platforms",),
    "mep apps": ("skerry mep apps",),
    "mep services": ("skerry mep services",),
    "mep rules": ("skerry mep rules",),
    "mep dns": ("skerry mep dns",),
}

SERVICES: Mapping[str, tuple[str, ...]] = {
    "ns": ("skerry ns deploy sip-service --name calls", "skerry ns show calls"),
    "ns list": ("skerry ns list",),
    "ns show": ("skerry ns show calls",),
    "ns create": ("skerry ns create sip-service --name calls",),
    "ns instantiate": ("skerry ns instantiate calls --level large",),
    "ns deploy": (
        "skerry ns deploy sip-service --name calls --dry-run",
        "skerry ns deploy sip-service --name calls --place sipp_client=engine",
    ),
    "ns scale": ("skerry ns scale calls --vnf sipp_client-0", "skerry ns scale calls --aspect users --steps 2 --in"),
    "ns heal": ("skerry ns heal calls", "skerry ns heal calls --vnf sipp_server-0 --cause 'calls fail'"),
    "ns update": ("skerry ns update calls --add sipp_client", "skerry ns update calls --stop sipp_client-0"),
    "ns terminate": ("skerry ns terminate calls",),
    "ns delete": ("skerry ns delete calls",),
    "ns discard": ("skerry ns discard calls --yes",),
    "op": ("skerry op list", "skerry op explain calls"),
    "op list": ("skerry op list", "skerry op list --subject calls"),
    "op show": ("skerry op show 12b8dd61",),
    "op explain": ("skerry op explain calls", "skerry op explain 12b8dd61 --svg steps.svg"),
    "op follow": ("skerry op follow 12b8dd61",),
    "op retry": ("skerry op retry 12b8dd61",),
    "op rollback": ("skerry op rollback 12b8dd61",),
    "op fail": ("skerry op fail 12b8dd61",),
    "op cancel": ("skerry op cancel 12b8dd61 --force",),
    "plan": ("""skerry plan vnf.scale calls-sipp_client-0 '{"type": "SCALE_OUT", "aspectId": "clients"}'""",),
    "package": ("skerry package onboard my-vnf", "skerry package list"),
    "package list": ("skerry package list",),
    "package show": ("skerry package show sipp-client",),
    "package onboard": ("skerry package onboard my-vnf", "skerry package onboard my-vnf.csar --data owner=me"),
    "package download": ("skerry package download sipp-client --output copy.csar",),
    "package enable": ("skerry package enable sipp-client",),
    "package disable": ("skerry package disable sipp-client",),
    "package delete": ("skerry package delete sipp-client --force",),
    "package build": (
        "skerry package build my-vnf",
        "skerry package build my-vnf --sign vendor.key --cert vendor.pem --option 2",
    ),
    "package sign": ("skerry package sign my-vnf.csar --key vendor.key --cert vendor.pem",),
    "package import": (
        "helm template shop ./chart | skerry package import - --to shop --image busybox:1.36=host:busybox",
    ),
    "lint": ("skerry lint my-vnf", "skerry lint my-vnf.csar --trust-store /etc/skerry/trust"),
}

VNFS: Mapping[str, tuple[str, ...]] = {
    "vnf": ("skerry vnf list", "skerry vnf heal calls-sipp_server-0"),
    "vnf list": ("skerry vnf list",),
    "vnf show": ("skerry vnf show web",),
    "vnf create": ("skerry vnf create sipp-server --name web",),
    "vnf instantiate": (
        "skerry vnf instantiate web",
        "skerry vnf instantiate web --flavour large --set port=8080 --dry-run",
    ),
    "vnf scale": ("skerry vnf scale web", "skerry vnf scale web --aspect workers --steps 2 --in"),
    "vnf scale-to-level": ("skerry vnf scale-to-level web --aspect workers=3",),
    "vnf operate": ("skerry vnf operate web stop --timeout 10", "skerry vnf operate web start"),
    "vnf heal": ("skerry vnf heal web", "skerry vnf heal web --vnfc worker-1 --cause 'does not answer'"),
    "vnf modify": ("skerry vnf modify web --name shop --metadata owner=me",),
    "vnf change-flavour": ("skerry vnf change-flavour web large",),
    "vnf change-package": ("skerry vnf change-package web web-2.0",),
    "vnf terminate": ("skerry vnf terminate web",),
    "vnf delete": ("skerry vnf delete web",),
    "vnf discard": ("skerry vnf discard web --yes",),
    "vnf snapshot": ("skerry vnf snapshot create web --name monday",),
    "vnf snapshot list": ("skerry vnf snapshot list web",),
    "vnf snapshot create": ("skerry vnf snapshot create web --name monday",),
    "vnf snapshot revert": ("skerry vnf snapshot revert web monday",),
    "vnf snapshot export": ("skerry vnf snapshot export monday --output monday.zip",),
    "vnf snapshot import": ("skerry vnf snapshot import monday.zip web",),
    "vnf snapshot delete": ("skerry vnf snapshot delete monday",),
}

WATCHING: Mapping[str, tuple[str, ...]] = {
    "alarms": ("skerry alarms",),
    "events": ("skerry events --follow", "skerry events --subject calls --last 20", "skerry events --kind audit"),
    "exec": ("skerry exec calls-sipp_client-0 -- ip address",),
    "logs": ("skerry logs web --vnfc worker-0 --tail 20 --follow",),
    "stats": ("skerry stats web",),
    "subscriptions": ("skerry subscriptions", "skerry subscriptions --resume 5b0d6a3e"),
    "top": ("skerry top", "skerry top --follow --every 5"),
    "indicators": ("skerry indicators", "skerry indicators web --tell users=12"),
    "pm": ("skerry pm measure web --period 10 --report 60",),
    "pm jobs": ("skerry pm jobs",),
    "pm measure": (
        "skerry pm measure web --period 10 --report 60",
        "skerry pm measure shop --type Ns --metric ByteIncomingVnfExtCp",
    ),
    "pm reports": ("skerry pm reports 1f36638a --last 10",),
    "pm thresholds": ("skerry pm thresholds",),
    "pm watch": ("skerry pm watch web VCpuUsageMeanVnf 80 --hysteresis 5",),
    "pm delete": ("skerry pm delete 1f36638a",),
}

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    **ACCESS,
    **APPS,
    **DATAPLANE,
    **LVNFS,
    **NODE,
    **SERVICES,
    **VNFS,
    **WATCHING,
}
"""The words of a command after `skerry` -> how it is used."""


def of(path: str) -> tuple[str, ...]:
    """The examples of a command by its path (`skerry vnf scale`); `app package` has those of `package`."""
    words = path.removeprefix("skerry").strip()
    return EXAMPLES.get(words.removeprefix("app ") if words.startswith("app package") else words, ())


def epilog(path: str) -> str | None:
    """What the help of a command says at its end."""
    found = of(path)
    return (
        "\b\n" + "\n".join(("Examples:" if len(found) > 1 else "Example:", *(f"  {one}" for one in found)))
        if found
        else None
    )
