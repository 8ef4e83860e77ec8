"""Our own API: indicators of VNFs for people, and their values from whoever knows them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from skerry.api.own.types import Asked
from skerry.api.route import Call, Endpoint
from skerry.client.views import IndicatorView
from skerry.model.indicators import Indicator


class IndicatorValue(Asked, frozen=True, kw_only=True):
    """The value of an indicator: anything that JSON can say."""

    value: Any


def view(call: Call, one: Indicator) -> IndicatorView:
    """An indicator for people."""
    vnf = call.services.vnfm.instance(one.vnf, tenant=call.tenant)
    return IndicatorView(
        id=one.id,
        vnf=one.vnf,
        vnf_name=vnf.vnf_instance_name or vnf.vnf_product_name,
        indicator=one.indicator,
        name=one.name,
        value=one.value,
        told_at=one.told_at,
    )


async def listing(call: Call) -> Response:
    """Indicators, of all VNFs or of one."""
    found = call.services.indicators.all(tenant=call.tenant, vnf=call.query("vnf"))
    return call.listed(found, lambda one: view(call, one))


async def tell(call: Call) -> Response:
    """The VNF or its element manager tells the value of an indicator."""
    asked = await call.body(IndicatorValue)
    vnf, name = call.path("vnfId"), call.path("indicatorId")
    told = await call.services.indicators.tell(vnf, name, asked.value, tenant=call.tenant)
    return call.show(view(call, told))


ONE = "/vnfs/{vnfId}/indicators/{indicatorId}"
ROUTES = (
    Endpoint("GET", "/indicators", listing, "List indicators of VNFs", answer=list[IndicatorView]),
    Endpoint("PUT", ONE, tell, "Tell the value of an indicator", IndicatorValue, IndicatorView),
)
