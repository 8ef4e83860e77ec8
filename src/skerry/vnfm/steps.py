"""Step handlers of the VNFM: each asks a driver for one thing. All are idempotent by the resource's derived name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.children import derive
from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError, SkerryError, UnsupportedError
from skerry.store import aggregates
from skerry.vim.driver import (
    Compute,
    ComputeSpec,
    ComputeState,
    Driver,
    Exec,
    File,
    ImageSpec,
    Mount,
    NetworkSpec,
    NicSpec,
    Port,
    Resize,
)
from skerry.vnfm.desk import Desk, ImageFile
from skerry.vnfm.goal import flavour_of
from skerry.vnfm.scripts import WRAPPER, outcome
from skerry.vnfm.values import Attributes, environment, handed_over, parameter_files, text, told_by

INTERRUPTED = 75
REMADE = "remade"  # in a power step's result: what the infrastructure says of a VNFC that had to be made again


class Steps:
    """The handlers, bound to their desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def register(self, engine: Engine) -> None:
        for action, handler in (
            ("image.ensure", self.ensure_image),
            ("network.create", self.create_network),
            ("network.delete", self.delete_network),
            ("compute.create", self.create_compute),
            ("compute.update", self.update_compute),
            ("compute.delete", self.delete_compute),
            ("addresses.known", self.go_on),
            ("power.create", self.switch_on),
            ("power.update", self.restart),
            ("power.delete", self.switch_off),
            ("power.check", self.check),
            ("script.run", self.run_script),
        ):
            engine.add_handler(action, handler)

    # -- images and networks ------------------------------------------------------------------------------------------

    async def ensure_image(self, context: StepContext) -> Mapping[str, Any]:
        """Bring it there. One that is only named is brought if the tenant uploaded it; else the VIM must have it."""
        driver = await self.desk.vims.driver(context.args["vim"])
        spec = await self._image(context.args["package"], context.args["image"])
        if spec is None:
            return {}
        image = await driver.ensure_image(spec)
        return {"id": image.id, "name": image.name, "size_bytes": image.size_bytes}

    def _stored(self, package: str, image: Mapping[str, Any]) -> ImageFile | None:
        """What the tenant uploaded under the name of an image that is only named."""
        if image["source"] or not image["name"]:
            return None
        return self.desk.stored(image["name"], aggregates.vnf_packages.get(self.desk.database, package).tenant)

    async def _image(self, package: str, image: Mapping[str, Any]) -> ImageSpec | None:
        """What the driver shall have; None for an image that it must have already."""
        source, file = image["source"], self._stored(package, image)
        if file is not None:
            image, source = _summed(image, file), str(file.path)
        elif not source:
            return None
        elif not source.startswith(("host:", "docker://")):
            info = aggregates.vnf_packages.get(self.desk.database, package)
            source = str(await asyncio.to_thread(self.desk.extracted, info, source))
        return ImageSpec(
            name=image_name(image),
            source=source,
            checksum=image.get("checksum", ""),
            checksum_algorithm=image.get("checksum_algorithm", ""),
        )

    async def create_network(self, context: StepContext) -> Mapping[str, Any]:
        spec = dict(context.args["spec"])
        driver = await self.desk.vims.driver(spec.pop("vim"))
        previous = context.args.get("previous", {})
        spec["cidr"] = spec["cidr"] or previous.get("cidr", "")
        network = await driver.create_network(msgspec.convert(spec, NetworkSpec))
        return msgspec.to_builtins(network)  # type: ignore[no-any-return]

    async def delete_network(self, context: StepContext) -> None:
        spec = context.args["spec"]
        driver = await self.desk.vims.driver(spec["vim"])
        await driver.delete_network(spec["name"])

    # -- computes -----------------------------------------------------------------------------------------------------

    async def create_compute(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        driver = await self.desk.vims.driver(spec["vim"])
        lookup = self._lookup(context.operation.subject, context.step.resource.split(":", 1)[1], spec)
        if context.undoing and await state_of(driver, spec["name"]) is not None:
            return _answer(await driver.get_compute(spec["name"]))  # the removal that is undone never came to it
        file = self._stored(spec["package"], spec["image"])
        made = {**spec, "image": _summed(spec["image"], file)} if file else spec
        compute = await driver.create_compute(compute_spec(made, lookup, context.args.get("previous", {})))
        return _answer(compute)

    async def update_compute(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        driver = await self.desk.vims.driver(spec["vim"])
        if not isinstance(driver, Resize):
            raise UnsupportedError(
                f"cannot change the limits of {spec['name']}: VIM {spec['vim']} cannot resize",
                suggestion="heal it instead",
            )
        await driver.resize(spec["name"], vcpus=spec["vcpus"], memory_bytes=spec["memory_bytes"])
        return {}

    async def delete_compute(self, context: StepContext) -> None:
        spec = context.args["spec"]
        driver = await self.desk.vims.driver(spec["vim"])
        await driver.delete_compute(spec["name"])

    # -- power --------------------------------------------------------------------------------------------------------

    async def go_on(self, _context: StepContext) -> None:
        """A barrier: its needs are its meaning."""

    async def switch_on(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        driver = await self.desk.vims.driver(spec["vim"])
        if context.undoing and await state_of(driver, spec["name"]) is ComputeState.FAILED:
            return {}  # it did not run before either
        remade = await self._provision(driver, context, {})
        compute = await begin(driver, spec["name"])
        return {"started_at": compute.started_at, **remade}

    async def provide(self, context: StepContext) -> None:
        """Hand over what the next start needs."""
        driver = await self.desk.vims.driver(context.args["spec"]["vim"])
        await self._provision(driver, context, {})

    async def restart(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        driver = await self.desk.vims.driver(spec["vim"])
        await halt(driver, spec["name"], None)
        before = context.args["previous"]
        gone = {*before["env"], *handed_over(before["given"])} - {*spec["env"], *handed_over(spec["given"])}
        remade = await self._provision(driver, context, dict.fromkeys(gone, ""))
        compute = await begin(driver, spec["name"])
        return {"started_at": compute.started_at, **remade}

    async def switch_off(self, context: StepContext) -> None:
        spec = context.args["spec"]
        driver = await self.desk.vims.driver(spec["vim"])
        await halt(driver, spec["name"], context.args.get("grace_s"))

    async def check(self, context: StepContext) -> None:
        """The VNFC keeps running for a while: a program that dies of its configuration does it soon."""
        vnfc, seconds = context.args["vnfc"], context.args["seconds"]
        spec = self.desk.instance(context.operation.subject).resources[f"compute:{vnfc}"].spec
        driver = await self.desk.vims.driver(spec["vim"])
        await asyncio.sleep(seconds)
        compute = await driver.get_compute(spec["name"])
        if compute.state is not ComputeState.RUNNING:
            raise SkerryError(
                f"cannot accept {vnfc}: it is {compute.state} within {seconds:g} s of its start (exit {compute.exit_code})",
                suggestion="read its log, mend the package",
            )

    async def _provision(
        self, driver: Driver, context: StepContext, cleared: Mapping[str, str]
    ) -> dict[str, dict[str, Any]]:
        """Hand over environment and files before a start. The answer tells of a VNFC that had to be made again."""
        spec = context.args["spec"]
        lookup = self._lookup(context.operation.subject, spec["compute"], spec)
        lookup.instance = msgspec.structs.replace(lookup.instance, dependencies=spec["given"])  # an undo's may be older
        files = [
            File(path=entry["path"], content=self._content(spec["package"], entry, lookup), mode=entry["mode"])
            for entry in spec["files"]
        ]
        files += [File(path=path, content=content) for path, content in parameter_files(spec["given"]).items()]
        env = {**cleared, **await self.desk.told(lookup.instance), **environment(lookup, spec["env"])}
        command = [text(lookup.resolve(part)) for part in spec["command"]]
        hosts = neighbours(lookup)
        try:
            await driver.set_environment(spec["name"], env, files, command=command, hosts=hosts)
        except (ConflictError, NotFoundError):
            made = await self._revive(driver, lookup, spec)
            await driver.set_environment(spec["name"], env, files, command=command, hosts=hosts)
            return {REMADE: made}
        return {}

    @staticmethod
    async def _revive(driver: Driver, lookup: Attributes, spec: Mapping[str, Any]) -> dict[str, Any]:
        """A compute resource that failed can only be made again; it keeps its addresses. One that is gone was perhaps
        deleted right here, before the node was killed."""
        if await state_of(driver, spec["name"]) not in (ComputeState.FAILED, None):
            raise ConflictError(f"cannot change {spec['name']}: it is busy", suggestion="retry the operation")
        made = lookup.instance.resources[f"compute:{spec['compute']}"]
        await driver.delete_compute(spec["name"])
        return _answer(await driver.create_compute(compute_spec(made.spec, lookup, made.outputs)))

    def _content(self, package: str, entry: Mapping[str, Any], lookup: Attributes) -> bytes:
        if entry["source"]:
            return self.desk.artifact(package, entry["source"])
        return text(lookup.resolve(entry["content"])).encode()

    def _lookup(self, instance_id: str, vnfc: str, spec: Mapping[str, Any]) -> Attributes:
        """Values as the descriptor means them that the resource comes from: an undo may be of an older package."""
        instance = self.desk.instance(instance_id)
        vnfd = self.desk.descriptor(spec["package"], instance.inputs)
        return Attributes(instance, flavour_of(vnfd, spec["flavour"]), vnfc)

    # -- scripts ------------------------------------------------------------------------------------------------------

    async def run_script(self, context: StepContext) -> Mapping[str, Any]:
        vnfc, event = context.args["vnfc"], context.args["event"]
        instance = self.desk.instance(context.operation.subject)
        flavour = self.desk.flavour(instance)
        script = flavour.scripts[event]
        lookup = Attributes(instance, flavour, vnfc)
        spec = instance.resources[f"compute:{vnfc}"].spec
        driver = await self.desk.vims.driver(spec["vim"])
        told = {"event": event, "vnfc": vnfc, "script": script.artifact}
        if context.args.get("lenient") and await state_of(driver, spec["name"]) is not ComputeState.RUNNING:
            return {**told, "skipped": "the VNFC does not run"}
        if not isinstance(driver, Exec):
            raise UnsupportedError(f"cannot run scripts: VIM {spec['vim']} cannot execute commands in instances")
        try:
            env = environment(lookup, {**flavour.vdus[spec["vdu"]].env, **script.inputs})
            env |= told_by(context.operation.params)
            arguments = [text(lookup.resolve(value)) for value in script.arguments]
        except InvalidError as error:
            if not context.args.get("lenient"):
                raise
            return {**told, "skipped": error.detail}  # it asks for a VNFC that is gone: no reason to keep the others
        once = derive(context.operation.id, context.step.key)
        answer = await driver.exec(
            spec["name"],
            ["/bin/sh", "-c", WRAPPER, "skerry", once, *arguments],
            stdin=self.desk.artifact(instance.vnf_pkg_id, script.artifact),
            env=env,
            timeout_s=script.timeout_s,
        )
        result = outcome(event, vnfc, script.artifact, answer.exit_code, answer.stdout, answer.stderr)
        if answer.exit_code == INTERRUPTED:
            raise DriverError(
                f"cannot finish {event} in {vnfc}: its script was killed", transient=True, call=script.artifact
            )
        if answer.exit_code != 0:
            complaint = result["stderr"].strip()
            await context.say(f"{event} script ended with {answer.exit_code}", **result)
            raise SkerryError(
                f"cannot complete {event} in {vnfc}: {script.artifact} ended with {answer.exit_code}: {complaint}",
                suggestion="mend the cause and retry the operation; scripts that ended well do not run again",
            )
        return result


def _summed(image: Mapping[str, Any], file: ImageFile) -> dict[str, Any]:
    """An image known by its content, so that equal names of two tenants never meet on a VIM."""
    return {**image, "checksum": file.checksum, "checksum_algorithm": "sha-256"}


def image_name(image: Mapping[str, Any]) -> str:
    """The identity of an image's content: its digest where the package gives one, else its source, in its package where that
    matters."""
    if image.get("checksum"):
        return f"{image['checksum_algorithm'].lower().replace('-', '') or 'sha256'}:{image['checksum'].lower()}"
    name: str = image["source"] or image["name"]
    return f"{image['of']}/{name}" if image.get("of") else name


def neighbours(lookup: Attributes) -> dict[str, str]:
    """Names of other VNFCs of this VNF and of the VNFs that it depends on, for the hosts file: name → first address."""
    names: dict[str, str] = {}
    for key, resource in lookup.instance.resources.items():
        nics = resource.outputs.get("nics", ())
        if resource.kind == "compute" and nics:
            vdu = lookup.flavour.vdus.get(resource.spec["vdu"])
            vnfc = key.removeprefix("compute:")
            stands_by = vnfc in lookup.instance.standbys.get(resource.spec["vdu"], ())
            for name in (vnfc, *(vdu.aliases if vdu and not stands_by else ())):
                names.setdefault(name, nics[0]["ip"])
    for source, values in lookup.instance.dependencies.items():
        if address := values.get("ip_address"):
            names.setdefault(source, str(address))
    return names


def compute_spec(spec: Mapping[str, Any], lookup: Attributes, previous: Mapping[str, Any]) -> ComputeSpec:
    """What the driver is asked for. A replacement keeps the addresses of its predecessor on the same networks."""
    kept = _kept(spec["nics"], previous.get("nics", ()))
    nics = tuple(
        NicSpec(
            network=nic["network"],
            ip=str(lookup.resolve(nic["ip"]) or before.get("ip", "")),
            mac=str(lookup.resolve(nic["mac"]) or before.get("mac", "")),
            egress_bps=nic["egress_bps"],
            ingress_bps=nic["ingress_bps"],
            steered=nic.get("steered", False),
            avoid=() if before.get("ip") else tuple(spec.get("reserved", {}).get(nic["network"], ())),
        )
        for nic, before in zip(spec["nics"], kept, strict=True)
    )
    return ComputeSpec(
        name=spec["name"],
        owner=spec["owner"],
        image=image_name(spec["image"]),
        hostname=text(lookup.resolve(spec["hostname"])),
        nics=nics,
        vcpus=spec["vcpus"],
        memory_bytes=spec["memory_bytes"],
        storage_bytes=spec["storage_bytes"],
        pids=spec["pids"] or 512,
        mounts=msgspec.convert(spec["mounts"], tuple[Mount, ...]),
        ports=msgspec.convert(spec["ports"], tuple[Port, ...]),
        dns=tuple(spec["dns"]),
        capabilities=tuple(spec["capabilities"]),
        read_only=spec["read_only"],
        restart=spec["restart"],
        grace_s=spec["grace_s"],
        options=spec["options"],
        labels={"skerry.instance": spec["owner"], "skerry.vdu": spec["vdu"]},
    )


def _kept(nics: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """For each interface its predecessor on the same network: the n-th on a network follows the n-th that was on it."""
    left = list(before)
    found: list[Mapping[str, Any]] = []
    for nic in nics:
        same = next((old for old in left if old["network"] == nic["network"]), None)
        if same is not None:
            left.remove(same)
        found.append(same or {})
    return found


def _answer(compute: Compute) -> dict[str, Any]:
    """What is recorded of a compute resource: all but its environment, which may hold secrets."""
    answer: dict[str, Any] = msgspec.to_builtins(compute)
    answer.pop("env", None)
    return answer


async def begin(driver: Driver, name: str) -> Compute:
    """Start a compute resource; one whose stop was cut off is stopped to its end first."""
    try:
        return await driver.start_compute(name)
    except ConflictError:
        if await state_of(driver, name) is not ComputeState.STOPPING:
            raise
        await halt(driver, name, 0.0)
        return await driver.start_compute(name)


async def halt(driver: Driver, name: str, grace_s: float | None) -> None:
    """Stop a compute resource; one that is gone or failed runs no more."""
    try:
        await driver.stop_compute(name, grace_s)
    except NotFoundError:
        return
    except ConflictError:
        if await state_of(driver, name) is not ComputeState.FAILED:
            raise


async def state_of(driver: Driver, name: str) -> ComputeState | None:
    """The state of a compute resource now; None when it is gone."""
    try:
        return (await driver.get_compute(name)).state
    except NotFoundError:
        return None
