#!/bin/sh
# Makes everything that a target of the Makefile needs: Debian packages, the virtual environment, Python packages.
#
#   tools/bootstrap.sh run     what the demo and a node need
#   tools/bootstrap.sh dev     that, and what tests, checks, benchmarks and documentation need
#
# Only what is missing is installed; when nothing is missing, this takes some milliseconds and says nothing. It needs a
# POSIX shell alone, so that it works on a machine that has no Python yet. Environment: VENV (default .venv).
set -eu

cd "$(dirname "$0")/.."
LEVEL=${1:-run}
VENV=${VENV:-.venv}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

case $LEVEL in
    run | dev) ;;
    *)
        echo "cannot prepare '$LEVEL': say run or dev" >&2
        exit 2
        ;;
esac

# level | Debian package | how to see that it is there | why it is needed
PACKAGES='
run | ca-certificates | file:/etc/ssl/certs/ca-certificates.crt | Python packages are fetched over TLS
run | runc            | program:runc    | the OCI runtime: runs the containers of the embedded driver
run | conmon          | program:conmon  | the shim: keeps containers, their logs and exit codes while no node runs
run | busybox-static  | program:busybox | the shell inside images that are packed from installed programs
run | openssl         | program:openssl | checks and makes the signatures of packages
run | iproute2        | program:ip      | bridges, veth pairs and network namespaces; bandwidth limits
run | skopeo          | program:skopeo  | fetches images from registries
run | sip-tester      | program:sipp    | SIPp, the program whose calls the demo shows
run | unbound         | program:unbound | answers the DNS rules of edge applications
run | bind9-dnsutils  | program:dig     | asks DNS servers in the demo and in tests, as users do
run | openvswitch-switch | program:ovs-vswitchd | the switch of the data plane; Skerry starts its own and leaves others alone
run | osmo-ggsn       | program:osmo-ggsn | the gateway of a mobile core, with sgsnemu, a base station, in the demo and in tests
run | squid           | program:squid   | the cache inside of the mobile network that the demo shows
run | nftables        | program:nft     | leads the connections of users to that cache
run | curl            | program:curl    | asks for pages as users do, and measures how long they take
dev | dropbear-bin    | program:dropbear | a server of SSH inside of instances, which tests try keys on
dev | openssh-client  | program:ssh     | tries those keys
dev | tcpdump         | program:tcpdump | looks at the wire in tests
dev | docker.io       | program:dockerd | the Docker Engine that tests and benchmarks start for themselves
dev | iptables        | program:iptables | the Docker Engine does not start without it
dev | rabbitmq-server | file:/usr/lib/rabbitmq/bin/rabbitmq-server | the message broker that tests of notifications start for themselves
dev | nodejs          | program:node    | runs the type checker pyright
'

say() { printf '%s\n' "$*" >&2; }

there() { # $1: program:NAME or file:PATH
    case $1 in
        program:*) command -v "${1#program:}" >/dev/null 2>&1 ;;
        file:*) [ -e "${1#file:}" ] ;;
    esac
}

usable() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python() {
    for candidate in "${PYTHON:-python3}" /usr/bin/python3 python3.13 python3.12 python3.11; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

missing() { # one line for each package that is missing: "package why"
    printf '%s' "$PACKAGES" | while IFS='|' read -r level package test why; do
        level=$(echo $level)
        case "$LEVEL $level" in
            'run run' | 'dev run' | 'dev dev') ;;
            *) continue ;;
        esac
        there "$(echo $test)" || echo "$(echo $package)" "$(echo $why)"
    done
    if [ ! -x "$VENV/bin/python" ] && ! python >/dev/null; then
        echo python3 "Skerry is written in Python (3.11 or newer)"
        echo python3-venv "makes the virtual environment"
    fi
}

install_debian() { # $1: the lines of missing
    names=$(printf '%s\n' "$1" | cut -d' ' -f1 | tr '\n' ' ')
    say "Debian packages that are missing:"
    printf '%s\n' "$1" | while read -r package why; do
        printf '  %-16s %s\n' "$package" "$why" >&2
    done
    if ! command -v apt-get >/dev/null 2>&1; then
        say "cannot install them: this machine has no apt-get. Install their like with its own package manager."
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        say "cannot install them: you are not root. Run:  sudo apt-get install --no-install-recommends $names"
        return 1
    fi
    # No service needs to run: the tests start a Docker Engine of their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    say "installing them with apt-get; this may take a minute"
    log=$(mktemp)
    apt-get update >"$log" 2>&1 || say "some package lists could not be read; going on with those that could"
    # shellcheck disable=SC2086 # names are words
    if ! apt-get install -y --no-install-recommends $names >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        say "cannot install them: see the end of apt-get's output above; the whole is in $log"
        return 1
    fi
    rm -f "$log"
}

stamp() { # what the environment was made from
    { sed '/^\[tool\./,$d' pyproject.toml; "$VENV/bin/python" -c 'import sys; print(sys.version)'; pwd; } | sha256sum | cut -d' ' -f1
}

install_python() {
    if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        say "making the virtual environment $VENV"
        "$(python)" -m venv --clear "$VENV"
    fi
    mark=$VENV/.skerry-$LEVEL
    [ -f "$mark" ] && [ "$(cat "$mark")" = "$(stamp)" ] && return
    [ "$LEVEL" = run ] && [ -f "$VENV/.skerry-dev" ] && [ "$(cat "$VENV/.skerry-dev")" = "$(stamp)" ] && return
    case $LEVEL in
        run) wanted=. ;;
        dev) wanted=.[test,check,docs] ;;
    esac
    say "installing Python packages into $VENV:"
    "$VENV/bin/python" - "$LEVEL" >&2 <<'PY'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
groups = {"run": project["dependencies"]}
if sys.argv[1] == "dev":
    groups.update(project["optional-dependencies"])
for name, packages in groups.items():
    print(f"  {name:<6} {', '.join(packages)}")
PY
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$wanted" >&2
    stamp >"$mark"
}

lacking=$(missing)
if [ -n "$lacking" ] && ! install_debian "$lacking"; then
    # People who are not root can still develop: tests that need these packages are skipped, and say so.
    if [ "$LEVEL" = run ] || { [ ! -x "$VENV/bin/python" ] && ! python >/dev/null; }; then
        exit 1
    fi
    say "going on without them: tests that need them are skipped"
fi
install_python
