"""Grants from an NFVO of somebody else (SOL003 clause 9): this node as VNFM. Fits `vnfm.grants.Granter`.

The VIM connections that the answer names are used where this node knows them; others are registered with what the answer
says of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import DriverError, InvalidError, RejectedError, UnavailableError
from skerry.model.operations import Verdict
from skerry.model.vnf import VimConnection
from skerry.notifications.wire import Answer
from skerry.vim.connections import Vims
from skerry.vnfm.foreign import Exchange, place, read_object
from skerry.vnfm.grants import Grant, GrantRequest, ResourceRequest

log = logging.getLogger(__name__)

VERSION = "1.4.0"
OPERATIONS: Mapping[str, str] = {
    "vnf.instantiate": "INSTANTIATE",
    "vnf.scale": "SCALE",
    "vnf.scale_to_level": "SCALE_TO_LEVEL",
    "vnf.change_flavour": "CHANGE_FLAVOUR",
    "vnf.change_ext_conn": "CHANGE_EXT_CONN",
    "vnf.operate": "OPERATE",
    "vnf.heal": "HEAL",
    "vnf.migrate": "HEAL",
    "vnf.change_package": "CHANGE_VNFPKG",
    "vnf.revert_to_snapshot": "REVERT_TO_SNAPSHOT",
}
POLL_S = 1.0
MOST_POLLS = 300
TIMEOUT_S = 60.0


class ForeignNfvo:
    """`endpoint` is the root of the NFVO's APIs; `own` that of ours, for the links of a request."""

    def __init__(
        self,
        endpoint: str,
        own: str,
        exchange: Exchange,
        vims: Vims,
        keep: Callable[[VimConnection], Awaitable[None]],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._own = own.rstrip("/")
        self._exchange = exchange
        self._vims = vims
        self._keep = keep
        self._pause = pause

    async def grant(self, request: GrantRequest) -> Grant:
        """Ask, wait while the NFVO thinks, and make its VIM connections known. `RejectedError` with its reason."""
        body = msgspec.json.encode(self._request(request))
        url = f"{self._endpoint}/grant/v1/grants"
        answer = await self._call("POST", url, body)
        decided = place(url, answer.headers.get("location", ""))
        for _ in range(MOST_POLLS):
            if answer.status != 202:
                return await self._granted(answer)
            await self._pause(POLL_S)
            answer = await self._call("GET", decided, b"")
        raise UnavailableError("cannot get a grant: the NFVO does not decide", suggestion="ask who runs it")

    def _request(self, request: GrantRequest) -> dict[str, Any]:
        vnf, operation = request.vnf_instance_id, request.operation_id
        links = {
            "vnfLcmOpOcc": {"href": f"{self._own}/vnflcm/v2/vnf_lcm_op_occs/{operation}"},
            "vnfInstance": {"href": f"{self._own}/vnflcm/v2/vnf_instances/{vnf}"},
        }
        told: dict[str, Any] = {
            "vnfInstanceId": vnf,
            "vnfLcmOpOccId": operation,
            "vnfdId": request.vnfd_id,
            "operation": OPERATIONS.get(request.operation, "HEAL"),
            "isAutomaticInvocation": False,
            "addResources": _definitions(request.add),
            "_links": links,
        }
        if request.flavour_id:
            told["flavourId"] = request.flavour_id
        if request.update:
            told["updateResources"] = _definitions(request.update)
        if request.remove:
            told["removeResources"] = _definitions(request.remove)
        return told

    async def _call(self, method: str, uri: str, body: bytes) -> Answer:
        headers = {"Version": VERSION, "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        return await self._exchange(method, uri, headers, body)

    async def _granted(self, answer: Answer) -> Grant:
        told = read_object(answer.body)
        if answer.status in (200, 201):
            await self._learn(told)
            places = {
                str(one["resourceDefinitionId"]): str(one["vimConnectionId"])
                for one in told.get("addResources") or ()
                if one.get("vimConnectionId")
            }
            verdicts = tuple(
                Verdict(site=vim, fits=True, reason=f"granted by the NFVO at {self._endpoint}", chosen=True)
                for vim in dict.fromkeys(places.values())
            )
            return Grant(id=str(told.get("id", "")), placement=places, verdicts=verdicts)
        detail = str(told.get("detail") or f"it answers {answer.status}")
        if answer.status == 403:
            raise RejectedError(f"cannot get a grant: the NFVO refuses: {detail}")
        if answer.status in (429, 500, 502, 503, 504):
            raise UnavailableError(f"cannot get a grant: {detail}", suggestion="retry the operation later")
        raise DriverError(f"cannot get a grant: the NFVO answers {answer.status}: {detail}", call="POST grants")

    async def _learn(self, told: Mapping[str, Any]) -> None:
        """Register connections that this node does not know yet."""
        known = {connection.id for connection in self._vims.connections()}
        for id, info in _connections(told).items():
            if id in known:
                continue
            settings = {**(info.get("interfaceInfo") or {}), **(info.get("accessInfo") or {})}
            made = VimConnection(id=id, vim_type=str(info.get("vimType", "")), name=id, settings=settings)
            try:
                self._vims.add(made)
            except InvalidError as error:
                log.warning("cannot use VIM connection %s of the grant: %s", id, error.detail)
                continue
            await self._keep(made)


def _definitions(asked: Sequence[ResourceRequest]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.vnfc,
            "type": "COMPUTE",
            "vduId": one.vdu,
            "resourceTemplateId": one.vdu,
            **({"resource": {"resourceId": "", "vimConnectionId": one.vim}} if one.vim else {}),
        }
        for one in asked
    ]


def _connections(told: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`vimConnectionInfo` (a map) of newer NFVOs, `vimConnections` (a list) of older ones."""
    listed = {str(one.get("id", "")): one for one in told.get("vimConnections") or ()}
    return {**listed, **(told.get("vimConnectionInfo") or {})}
