"""Step handlers of the orchestrator: the platform over Mm5, the NFVO over Mv1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.meo.desk import MeoDesk
from skerry.meo.goal import LONGEST_S, PLATFORM, effective, placed
from skerry.meo.mv1 import Services
from skerry.meo.operation import NOTICE
from skerry.model.app import AppInstance
from skerry.model.appd import PlatformPart
from skerry.model.ns import NsInstance
from skerry.model.platform import Access, HostedApp, NullPlatform, Platform
from skerry.model.states import InstantiationState
from skerry.packages.appd_names import FLAVOUR, PROFILE, steered_points
from skerry.store import aggregates
from skerry.vim.driver import Taps


class AppSteps:
    """The handlers, bound to their desk."""

    def __init__(self, desk: MeoDesk) -> None:
        self.desk = desk

    def register(self, engine: Engine) -> None:
        for action, handler in (
            ("mec.platform.create", self.admit),
            ("mec.platform.update", self.change),
            ("mec.platform.delete", self.forget),
            ("mec.rules.create", self.activate),
            ("mec.rules.update", self.activate),
            ("mec.rules.delete", self.deactivate),
        ):
            engine.add_handler(action, handler)
        for action, handler in (
            ("mec.notice", self.tell),
            ("mec.service.create", self.bring_up),
            ("mec.service.update", self.operate),
            ("mec.service.delete", self.remove),
        ):
            engine.add_handler(action, handler, waits=True)

    # -- the platform -------------------------------------------------------------------------------------------------

    def _platform(self, zone: str) -> Platform:
        return self.desk.hosts.platforms.at(zone)

    def _hosted(self, instance: AppInstance, zone: str, config: PlatformPart) -> HostedApp:
        return HostedApp(
            app_instance_id=instance.id,
            app_d_id=instance.app_d_id,
            app_name=instance.app_name,
            app_provider=instance.app_provider,
            app_soft_version=instance.app_soft_version,
            app_d_version=instance.app_d_version,
            app_instance_name=instance.app_instance_name,
            tenant=instance.tenant,
            zone=zone,
            client_id=instance.id,
            client_secret=instance.client_secret,
            config=config,
        )

    async def admit(self, context: StepContext) -> Mapping[str, Any]:
        instance = self.desk.instance(context.operation.subject)
        access = await self._admit(instance, context.args["spec"])
        return {"access": msgspec.to_builtins(access)}

    async def change(self, context: StepContext) -> Mapping[str, Any]:
        """Rules are changed by their own step; only what it may use and produces concerns its admission."""
        spec, previous = context.args["spec"], context.args["previous"]
        if self._platform(spec["zone"]) is not self._platform(previous["zone"]):
            await self._platform(previous["zone"]).forget(context.operation.subject)
        new, old = spec["config"], previous["config"]
        if spec["host"] == previous["host"] and all(
            new.get(name) == old.get(name) for name in ("appServiceRequired", "appServiceOptional")
        ):
            return {}
        return await self.admit(context)

    async def _admit(self, instance: AppInstance, spec: Mapping[str, Any]) -> Access:
        config = msgspec.convert(spec["config"], PlatformPart)
        return await self._platform(spec["zone"]).admit(self._hosted(instance, spec["zone"], config))

    async def forget(self, context: StepContext) -> None:
        await self._platform(context.args["spec"]["zone"]).forget(context.operation.subject)

    async def activate(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        instance = self.desk.instance(context.operation.subject)
        self.desk.targets[instance.id] = str(spec["ns"])
        addresses = self.desk.addresses(instance, spec["ns"])
        rules = {name: spec[name] for name in ("appTrafficRule", "appDNSRule")}
        config = placed(msgspec.convert(rules, PlatformPart), addresses)
        await self._platform(spec["zone"]).activate(self._hosted(instance, spec["zone"], config), addresses)
        return {"addresses": msgspec.to_builtins(addresses)}

    async def deactivate(self, context: StepContext) -> None:
        await self._platform(context.args["spec"]["zone"]).deactivate(context.operation.subject)

    async def tell(self, context: StepContext) -> Mapping[str, Any]:
        """Announce the end; the result says whether the application answered in time."""
        args = context.args
        platform = self._platform(args["zone"])
        if isinstance(platform, NullPlatform):
            return {"confirmed": True, "grace_s": args["timeout_s"]}
        confirmed = await platform.ask_to_stop(context.operation.subject, args["action"], args["timeout_s"])
        return {"confirmed": confirmed}

    # -- the NFVO -----------------------------------------------------------------------------------------------------

    async def bring_up(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        instance = self.desk.instance(context.operation.subject)
        ns_id = str(spec["ns"])
        if other := self.desk.elsewhere.get(spec["vim"]):
            return await self._bring_up_there(other, instance, spec)
        label = f"{instance.app_instance_name or instance.app_name}-{instance.id[:8]}"
        nfvo = self.desk.nfvo
        more: dict[str, Any] = {"placement": {"*": spec["vim"]}}
        if points := await self._steered(instance, spec["vim"]):
            more["steered"] = {PROFILE: list(points)}
        # Nothing is awaited between this and the child: the one of before a restart may end at any moment.
        ns = await nfvo.create(spec["nsd"], name=label, tenant=instance.tenant, id=ns_id)
        if ns.ns_state is InstantiationState.NOT_INSTANTIATED:
            request = {"nsFlavourId": FLAVOUR, "additionalParamsForNs": more}
            await context.child("ns.instantiate", ns_id, request, undone=True)
        if not spec["running"]:
            await self._switch(context, ns_id, running=False, how="FORCEFUL", name="stop")
        return {"ns_id": ns_id}

    async def _bring_up_there(
        self, other: Services, instance: AppInstance, spec: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The same by another NFVO; what it shows of the addresses is recorded."""
        id = await other.bring_up(self.desk.wish(instance, str(spec["ns"])))
        if not spec["running"]:
            await other.switch(id, running=False, graceful=False)
        return {"ns_id": id, "points": [point._asdict() for point in await other.points(id)]}

    async def _steered(self, instance: AppInstance, vim: str) -> tuple[str, ...]:
        """The connection points for the data plane alone, where it can reach them."""
        if not isinstance(await self.desk.nfvo.desk.vims.driver(vim), Taps):
            return ()
        appd = self.desk.appd(instance)
        return steered_points(appd, effective(appd, instance.config).app_traffic_rule)

    async def operate(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        instance = self.desk.instance(context.operation.subject)
        if spec["running"]:  # it will confirm anew that it is ready
            await self._admit(instance, instance.resources[PLATFORM].spec)
        if other := self.desk.elsewhere.get(spec["vim"]):
            id = str(self.desk.service(instance, spec["ns"])["ns_id"])
            graceful = self._manner(context, context.args.get("how", "GRACEFUL"), "Stop")["stopType"] == "GRACEFUL"
            await other.switch(id, running=spec["running"], graceful=graceful)
            return {"points": [point._asdict() for point in await other.points(id)]}
        await self._switch(context, spec["ns"], running=spec["running"], how=context.args.get("how", "GRACEFUL"))
        return {}

    async def _switch(self, context: StepContext, ns_id: str, *, running: bool, how: str, name: str = "") -> None:
        ns = self.desk.nfvo.desk.instance(ns_id)
        word = "STARTED" if running else "STOPPED"
        entries = [
            {"vnfInstanceId": member.vnf_instance_id, "changeStateTo": word, **self._manner(context, how, "Stop")}
            for member in ns.members.values()
        ]
        request = {"updateType": "OPERATE_VNF", "operateVnfData": entries}
        await context.child("ns.update", ns_id, request, name)

    async def remove(self, context: StepContext) -> None:
        instance = self.desk.instance(context.operation.subject)
        ns_id = str(context.args["spec"]["ns"])
        if other := self.desk.elsewhere.get(context.args["spec"]["vim"]):
            await other.remove(self.desk.wish(instance, ns_id).name)
            return
        if self._find(ns_id) is None:
            return
        await context.engine.children.release(ns_id, keep="" if context.undoing else context.operation.id)
        ns = self.desk.nfvo.instance(ns_id, tenant=instance.tenant)
        for vnf in self.desk.vnfs(instance, ns_id):
            self.desk.doors.close(*self.desk.gateway(vnf))
        if ns.ns_state is InstantiationState.INSTANTIATED or ns.resources:
            how = "FORCEFUL" if context.undoing else context.args.get("how", "GRACEFUL")
            params = {"additionalParams": self._manner(context, how, "Termination")}
            await context.child("ns.terminate", ns_id, params, undone=True)
        await self.desk.nfvo.delete(ns_id, tenant=instance.tenant)

    def _find(self, ns_id: str) -> NsInstance | None:
        return aggregates.ns_instances.find(self.desk.database, ns_id)

    @staticmethod
    def _manner(context: StepContext, how: str, verb: str) -> dict[str, Any]:
        """How its containers end: at once if it was told and did not answer; where nobody could be told, they get the time
        that the application would have had."""
        key = "stopType" if verb == "Stop" else "terminationType"
        notices = [record for record in context.engine.steps(context.operation.id) if record.key == NOTICE]
        said = notices[0].result if notices else {}
        if how == "FORCEFUL" or (notices and not said.get("confirmed", False)):
            return {key: "FORCEFUL"}
        if "grace_s" in said:
            return {key: "GRACEFUL", f"graceful{verb}Timeout": min(said["grace_s"], LONGEST_S)}
        return {key: "GRACEFUL"}
