"""What filters look at, taken from records: pure functions. Names are those of the standard's attributes."""

from __future__ import annotations

from typing import Any

from skerry.model.app import AppInstance, AppPkgInfo
from skerry.model.ns import NsdInfo, NsInstance, PnfdInfo
from skerry.model.vnf import VnfInstance, VnfPkgInfo


def of_vnf(record: VnfInstance) -> dict[str, Any]:
    """A VNF instance."""
    return {
        "tenant": record.tenant,
        "vnfInstanceId": record.id,
        "vnfInstanceName": record.vnf_instance_name,
        "vnfdId": record.vnfd_id,
        "vnfProvider": record.vnf_provider,
        "vnfProductName": record.vnf_product_name,
        "vnfSoftwareVersion": record.vnf_software_version,
        "vnfdVersion": record.vnfd_version,
        "nsInstanceId": record.ns_id,
    }


def of_ns(record: NsInstance, vnfd_ids: tuple[str, ...] = ()) -> dict[str, Any]:
    """An NS instance; `vnfd_ids` are those of its NSD."""
    return {
        "tenant": record.tenant,
        "nsInstanceId": record.id,
        "nsInstanceName": record.ns_instance_name,
        "nsdId": record.nsd_id,
        "vnfdIds": list(vnfd_ids),
    }


def of_vnf_package(info: VnfPkgInfo) -> dict[str, Any]:
    """A VNF package; what its VNFD says is there once it is onboarded."""
    facts: dict[str, Any] = {
        "tenant": info.tenant,
        "vnfPkgId": info.id,
        "operationalState": info.operational_state.value,
        "usageState": info.usage_state.value,
    }
    if info.package is None:
        return facts
    vnfd = info.package.vnfd
    return {
        **facts,
        "vnfdId": vnfd.id,
        "vnfProvider": vnfd.provider,
        "vnfProductName": vnfd.product_name,
        "vnfSoftwareVersion": vnfd.software_version,
        "vnfdVersion": vnfd.version,
        "vnfmInfo": list(vnfd.vnfm_info),
    }


def of_pnfd(info: PnfdInfo) -> dict[str, Any]:
    """A PNFD."""
    facts: dict[str, Any] = {
        "tenant": info.tenant,
        "pnfdInfoIds": [info.id],
        "pnfdOnboardingState": info.onboarding_state.value,
        "pnfdUsageState": info.usage_state.value,
    }
    if info.package is None:
        return facts
    pnfd = info.package.pnfd
    return {
        **facts,
        "pnfdId": pnfd.id,
        "pnfdName": pnfd.name,
        "pnfdVersion": pnfd.version,
        "pnfdProvider": pnfd.provider,
        "pnfdInvariantId": pnfd.invariant_id,
    }


def of_nsd(info: NsdInfo, vnf_pkg_ids: tuple[str, ...] = ()) -> dict[str, Any]:
    """An NSD; `vnf_pkg_ids` are the packages of the VNFDs that it names."""
    facts: dict[str, Any] = {
        "tenant": info.tenant,
        "nsdInfoId": info.id,
        "nsdOnboardingState": info.onboarding_state.value,
        "nsdOperationalState": info.operational_state.value,
        "nsdUsageState": info.usage_state.value,
    }
    if info.package is None:
        return facts
    nsd = info.package.nsd
    return {
        **facts,
        "nsdId": nsd.id,
        "nsdName": nsd.name,
        "nsdVersion": nsd.version,
        "nsdDesigner": nsd.designer,
        "nsdInvariantId": nsd.invariant_id,
        "vnfPkgIds": list(vnf_pkg_ids),
        "pnfdId": list(nsd.pnfd_ids),
    }


def of_app(record: AppInstance) -> dict[str, Any]:
    """An application instance. `products` names its provider and product as narrowly and as widely as a filter may."""
    return {
        "tenant": record.tenant,
        "appInstanceId": record.id,
        "appInstanceName": record.app_instance_name,
        "appDId": record.app_d_id,
        "appPkgId": record.app_pkg_id,
        "products": products(record.app_provider, record.app_name, record.app_soft_version, record.app_d_version),
    }


def products(*names: str) -> list[str]:
    """Provider, product, software version, descriptor version: every beginning of that path."""
    return ["/".join(names[:length]) for length in range(1, len(names) + 1)]


def of_app_package(info: AppPkgInfo) -> dict[str, Any]:
    """An application package; what its AppD says is there once it is onboarded."""
    known: dict[str, Any] = {
        "tenant": info.tenant,
        "appPkgInfoId": info.id,
        "operationalState": info.operational_state.value,
        "usageState": info.usage_state.value,
    }
    if info.package is None:
        return known
    appd = info.package.appd
    return {
        **known,
        "appDId": appd.app_d_id,
        "appProvider": appd.app_provider,
        "appName": appd.app_name,
        "appSoftwareVersion": appd.app_soft_version,
        "appDVersion": appd.app_d_version,
    }
