"""Whether a notification passes a subscription's filter: a pure function.

The filter is as the subscriber wrote it, checked at the border. Every attribute that it has must match; of the values
that an attribute lists, one is enough. An attribute that the notification's kind does not have (the state of an operation
in a notification about an identifier) does not restrict it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from skerry.model.notifications import Message

VNF_OPERATION = "VnfLcmOperationOccurrenceNotification"
VNF_CREATION = "VnfIdentifierCreationNotification"
VNF_DELETION = "VnfIdentifierDeletionNotification"
NS_OPERATION = "NsLcmOperationOccurrenceNotification"
NS_CREATION = "NsIdentifierCreationNotification"
NS_DELETION = "NsIdentifierDeletionNotification"
NS_CHANGE = "NsChangeNotification"
PACKAGE_ONBOARDING = "VnfPackageOnboardingNotification"
PACKAGE_CHANGE = "VnfPackageChangeNotification"
NSD_ONBOARDING = "NsdOnBoardingNotification"
NSD_FAILURE = "NsdOnboardingFailureNotification"
NSD_CHANGE = "NsdChangeNotification"
NSD_DELETION = "NsdDeletionNotification"
PNFD_ONBOARDING = "PnfdOnBoardingNotification"
PNFD_FAILURE = "PnfdOnBoardingFailureNotification"
PNFD_DELETION = "PnfdDeletionNotification"
ALARM = "AlarmNotification"
ALARM_CLEARED = "AlarmClearedNotification"
ALARMS_REBUILT = "AlarmListRebuiltNotification"
REPORT_AVAILABLE = "PerformanceInformationAvailableNotification"
THRESHOLD_CROSSED = "ThresholdCrossedNotification"
INDICATOR_VALUE = "VnfIndicatorValueChangeNotification"
INDICATORS_SUPPORTED = "SupportedIndicatorsChangeNotification"
QUOTA_AVAILABLE = "VrQuotaAvailNotification"
CAPACITY_SHORTAGE = "CapacityShortageNotification"

SPELLINGS: Mapping[str, str] = {
    "NsLcmOperationOccurenceNotification": NS_OPERATION,  # the official V3.7.1 file of SOL005
    "NsdOnBoardingFailureNotification": NSD_FAILURE,  # the same file has both
}
"""Other spellings of types of notifications that subscribers use."""


class Rule(NamedTuple):
    """How one attribute of a filter is compared: with which attribute of the subject, and in which kinds of
    notifications (none named: in all)."""

    subject: str
    types: frozenset[str] = frozenset()


def _same(*names: str) -> dict[str, Rule]:
    return {name: Rule(name) for name in names}


def _operations(type: str) -> dict[str, Rule]:
    only = frozenset({type})
    return {"operationTypes": Rule("operation", only), "operationStates": Rule("operationState", only)}


_CHANGE = frozenset({NS_CHANGE})

_VNFS = {
    "vnfdIds": Rule("vnfdId"),
    "vnfInstanceIds": Rule("vnfInstanceId"),
    "vnfInstanceNames": Rule("vnfInstanceName"),
}
"""VnfInstanceSubscriptionFilter (SOL003 4.4.1.5)."""

_NSS = {
    "nsdIds": Rule("nsdId"),
    "vnfdIds": Rule("vnfdIds"),
    "pnfdIds": Rule("pnfdIds"),
    "nsInstanceIds": Rule("nsInstanceId"),
    "nsInstanceNames": Rule("nsInstanceName"),
}
"""NsInstanceSubscriptionFilter (SOL005 4.4.1.6)."""

_STANDING = frozenset({ALARM})
_FAULTS = {
    "faultyResourceTypes": Rule("faultyResourceType", _STANDING),
    "perceivedSeverities": Rule("perceivedSeverity", _STANDING),
    "eventTypes": Rule("eventType", _STANDING),
    "probableCauses": Rule("probableCause", _STANDING),
}
_SOURCES = _same("pmJobId", "thresholdId")

RULES: Mapping[str, Mapping[str, Rule]] = {
    "vnflcm": {  # SOL003 5.5.3.12 and 4.4.1.5
        **_operations(VNF_OPERATION),
        **_VNFS,
    },
    "nslcm": {  # SOL005 6.5.3.8 and 6.5.3.9
        **_operations(NS_OPERATION),
        **_NSS,
        "affectedNsInstanceIds": Rule("nsInstanceId"),
        "nsComponentTypes": Rule("nsComponentType", _CHANGE),
        "lcmOpNameImpactingNsComponent": Rule("lcmOpNameImpactingNsComponent", _CHANGE),
        "lcmOpOccStatusImpactingNsComponent": Rule("lcmOpOccStatusImpactingNsComponent", _CHANGE),
    },
    "vnfpkgm": {  # SOL003 10.5.3.4, SOL005 9.5.3.4
        **_same("vnfdId", "vnfPkgId", "operationalState", "usageState", "vnfmInfo"),
    },
    "nsd": {  # SOL005 5.5.3.2
        **_same("nsdInfoId", "nsdId", "nsdName", "nsdVersion", "nsdDesigner", "nsdInvariantId", "vnfPkgIds"),
        **_same("pnfdInfoIds", "nestedNsdInfoIds", "nsdOnboardingState", "nsdOperationalState", "nsdUsageState"),
        **_same("pnfdId", "pnfdName", "pnfdVersion", "pnfdProvider", "pnfdInvariantId"),
        **_same("pnfdOnboardingState", "pnfdUsageState"),
    },
    "vnffm": {**_VNFS, **_FAULTS},  # SOL003 7.5.3.2
    "nsfm": {**_NSS, **_FAULTS},  # SOL005 8.5.3.2
    "vnfpm": {**_VNFS, **_SOURCES},  # SOL003 V2.6.1 6.5.3.2; a PM job's or threshold's own callback
    "nspm": {**_NSS, **_SOURCES},  # SOL005 V2.6.1 7.5.3.2
    "vnfind": {**_VNFS, "indicatorIds": Rule("vnfIndicatorId")},  # SOL003 8.5.3.2
    "nfvici": _same("thresholdId"),
    "vrqan": {  # SOL003 11.5.3.2
        "vimIds": Rule("vimId"),
        "resourceProviderIds": Rule("resourceProviderId"),
        "resourceTypes": Rule("resourceType"),
        "resourceGroupIds": Rule("resourceGroupId"),
    },
    "mec_service_mgmt": {  # MEC 011 8.1.3.2; categories are compared by their ids
        "serInstanceIds": Rule("serInstanceId"),
        "serNames": Rule("serName"),
        "serCategoryIds": Rule("serCategoryId"),
        "states": Rule("state"),
        "isLocal": Rule("isLocal"),
    },
    "app_lcm": {  # MEC 010-2 6.2.2.9 f., as `api.mec010.app_subscriptions` writes them
        "operationTypes": Rule("operation"),
        "operationStates": Rule("operationState"),
        **_same("appInstanceState", "appInstanceId", "appInstanceName", "appDId", "products"),
    },
    "app_pkgm": {},  # MEC 010-2 6.2.3.9: `anyOf`
    "mec_app_support": _same("appInstanceId"),  # MEC 011 7.1.3.2
}
"""Attributes of the filters of each API."""

WHOLE = frozenset({ALARMS_REBUILT})
"""Notifications about no instance in particular, which every subscriber to instances gets: their type alone is compared."""

NESTED = ("vnfInstanceSubscriptionFilter", "nsInstanceSubscriptionFilter")
PRODUCTS = "vnfProductsFromProviders"
TYPES = "notificationTypes"


def matches(filter: Mapping[str, Any], message: Message) -> bool:
    """Whether the subscriber wants this notification."""
    rules = RULES[message.api]
    for name, wanted in _flat(filter, message.type):
        if name == TYPES:
            if wanted and message.type not in {SPELLINGS.get(type, type) for type in _values(wanted)}:
                return False
        elif name == "anyOf":
            if not any(_equal(entry, message.subject) for entry in wanted):
                return False
        elif name == PRODUCTS:
            if wanted and not any(_from_provider(entry, message.subject) for entry in wanted):
                return False
        elif (rule := rules.get(name)) and not _passes(rule, wanted, message):
            return False
    return True


def _flat(filter: Mapping[str, Any], type: str) -> Iterable[tuple[str, Any]]:
    """The attributes of a filter that a type of notifications obeys, those of its nested one included."""
    for name, value in filter.items():
        if name != TYPES and type in WHOLE:
            continue
        if name in NESTED:
            yield from (value or {}).items()
        elif value is not None:
            yield name, value


def _values(value: Any) -> list[Any]:
    """The official file of SOL005 9 has one type of notification where the text has a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _passes(rule: Rule, wanted: Any, message: Message) -> bool:
    listed = _values(wanted)
    if not listed or (rule.types and message.type not in rule.types):
        return True
    return any(value in listed for value in _values(message.subject.get(rule.subject)))


def _equal(entry: Mapping[str, Any], subject: Mapping[str, Any]) -> bool:
    """Whether the subject has every value of an entry."""
    return all(subject.get(name) == value for name, value in entry.items())


def _from_provider(entry: Mapping[str, Any], subject: Mapping[str, Any]) -> bool:
    """VnfProductsFromProviders; the products are called like their providers in the official files of SOL005 9."""
    products = entry.get("vnfProducts") or entry.get(PRODUCTS)
    if entry.get("vnfProvider") != subject.get("vnfProvider"):
        return False
    return not products or any(_is_product(product, subject) for product in products)


def _is_product(product: Mapping[str, Any], subject: Mapping[str, Any]) -> bool:
    if product.get("vnfProductName") != subject.get("vnfProductName"):
        return False
    versions = product.get("versions")
    return not versions or any(_is_version(version, subject) for version in versions)


def _is_version(version: Mapping[str, Any], subject: Mapping[str, Any]) -> bool:
    if version.get("vnfSoftwareVersion") != subject.get("vnfSoftwareVersion"):
        return False
    vnfds = version.get("vnfdVersions")
    return not vnfds or subject.get("vnfdVersion") in vnfds
