"""The programs that simulated instances know: enough to answer what tests and people ask of a container.

A program is a simple command or `sh -c "a; b"`. What is not known here ends with 0 as a command, and as an instance's
own program runs until it is stopped.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence

import msgspec

from skerry.vim.driver import Compute, ComputeSpec, ExecResult


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command in its surroundings: the instance, its files (path -> content), environment and standard input."""

    argv: tuple[str, ...]
    spec: ComputeSpec
    compute: Compute
    files: Mapping[str, bytes]
    env: Mapping[str, str]
    stdin: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it prints and returns after `seconds`; `goes_on` when it would run without end as an instance's program;
    `written` are the files that it leaves."""

    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0
    goes_on: bool = False
    written: Mapping[str, bytes] = {}

    def result(self) -> ExecResult:
        """As the contract says it."""
        return ExecResult(exit_code=self.exit_code, stdout=self.stdout, stderr=self.stderr)


def run(asked: Asked) -> Answer:
    """Answer a command; a shell's commands run one after the other until `exit`."""
    if len(asked.argv) == 3 and asked.argv[0].rsplit("/", 1)[-1] == "sh" and asked.argv[1] == "-c":
        return _shell(asked)
    return _simple(asked)


def _shell(asked: Asked) -> Answer:
    total = Answer()
    for command in asked.argv[2].split(";"):
        words = _words(command, asked.env)
        if not words:
            continue
        if words[0] == "exit":
            return msgspec.structs.replace(total, exit_code=int(words[1]) if len(words) > 1 else total.exit_code)
        one = _simple(msgspec.structs.replace(asked, argv=words))
        total = Answer(
            exit_code=one.exit_code,
            stdout=total.stdout + one.stdout,
            stderr=total.stderr + one.stderr,
            seconds=total.seconds + one.seconds,
            goes_on=one.goes_on,
            written={**total.written, **one.written},
        )
        if one.goes_on:
            return total
    return total


def _words(command: str, env: Mapping[str, str]) -> tuple[str, ...]:
    words = shlex.split(command)
    return tuple(env.get(word[1:], "") if word.startswith("$") else word for word in words)


def _simple(asked: Asked) -> Answer:
    to_stderr = asked.argv[-1:] == (">&2",)
    argv = asked.argv[:-1] if to_stderr else asked.argv
    if not argv:
        return Answer(goes_on=True)
    known = _PROGRAMS.get(argv[0].rsplit("/", 1)[-1])
    if known is None:
        return Answer(goes_on=True)
    answer = known(msgspec.structs.replace(asked, argv=argv))
    if to_stderr:
        return msgspec.structs.replace(answer, stderr=answer.stdout, stdout=b"")
    return answer


def _echo(asked: Asked) -> Answer:
    return Answer(stdout=" ".join(asked.argv[1:]).encode() + b"\n")


def _cat(asked: Asked) -> Answer:
    if len(asked.argv) == 1:
        return Answer(stdout=asked.stdin)
    out, missing = b"", b""
    for path in asked.argv[1:]:
        content = read(asked, path)
        if content is None:
            missing += f"cat: can't open '{path}': No such file or directory\n".encode()
        else:
            out += content
    return Answer(stdout=out, stderr=missing, exit_code=1 if missing else 0)


def read(asked: Asked, path: str) -> bytes | None:
    """The content of a file of the instance as far as it is known; None where there is none."""
    if path in asked.files:
        return asked.files[path]
    if path == "/etc/resolv.conf":
        return "".join(f"nameserver {address}\n" for address in asked.spec.dns).encode()
    if path == "/etc/hosts":
        own = [(nic.ip, hostname(asked.spec)) for nic in asked.compute.nics[:1]]
        lines = [("127.0.0.1", "localhost"), *own, *((ip, name) for name, ip in asked.spec.hosts.items())]
        return "".join(f"{ip}\t{name}\n" for ip, name in lines).encode()
    for nic in asked.compute.nics:
        if path == f"/sys/class/net/{nic.device}/address":
            return nic.mac.encode() + b"\n"
    return None


def hostname(spec: ComputeSpec) -> str:
    """The name that the instance has for itself."""
    return spec.hostname or spec.name


def _env(asked: Asked) -> Answer:
    return Answer(stdout="".join(f"{key}={value}\n" for key, value in asked.env.items()).encode())


def _hostname(asked: Asked) -> Answer:
    return Answer(stdout=hostname(asked.spec).encode() + b"\n")


def _ip(asked: Asked) -> Answer:
    """`ip -4 -o addr show`: one line an interface, as iproute2 and busybox print it."""
    lines = ["1: lo    inet 127.0.0.1/8 scope host lo"]
    lines += [f"{index}: {nic.device}    inet {nic.ip}/24 scope global {nic.device}"
              for index, nic in enumerate(asked.compute.nics, start=2)]  # fmt: skip
    return Answer(stdout="".join(line + "\n" for line in lines).encode())


def _sleep(asked: Asked) -> Answer:
    return Answer(seconds=float(asked.argv[1]) if len(asked.argv) > 1 else 0.0, goes_on=True)


def _tee(asked: Asked) -> Answer:
    return Answer(stdout=asked.stdin, written=dict.fromkeys(asked.argv[1:], asked.stdin))


def _touch(asked: Asked) -> Answer:
    """Writes nothing: it only finds out whether the place could be written to."""
    for path in asked.argv[1:]:
        read_only = asked.spec.read_only or any(
            path.startswith(mount.target.rstrip("/") + "/") and mount.read_only for mount in asked.spec.mounts
        )
        if read_only:
            return Answer(exit_code=1, stderr=f"touch: {path}: Read-only file system\n".encode())
    return Answer()


def _true(_: Asked) -> Answer:
    return Answer()


def _false(_: Asked) -> Answer:
    return Answer(exit_code=1)


_PROGRAMS: Mapping[str, Callable[[Asked], Answer]] = {
    "cat": _cat,
    "echo": _echo,
    "env": _env,
    "false": _false,
    "hostname": _hostname,
    "ip": _ip,
    "sleep": _sleep,
    "tee": _tee,
    "touch": _touch,
    "true": _true,
}


def program_of(spec: ComputeSpec, image_command: Sequence[str]) -> tuple[str, ...]:
    """What an instance runs: the spec's command, else the image's."""
    return spec.command or tuple(image_command)
