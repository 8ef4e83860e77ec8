"""Makes a descriptor again from stored templates with the inputs of one request. Pure; nothing of the package is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from skerry.model.descriptors import InputParameter, Nsd, Vnfd
from skerry.packages.conformance import check_value
from skerry.packages.cursor import Cursor
from skerry.packages.nsd import make_nsd
from skerry.packages.report import Report
from skerry.packages.templates import Templates
from skerry.packages.types import Types
from skerry.packages.vnfd import make_vnfd

D = TypeVar("D", Vnfd, Nsd)


def bind_vnfd(templates: Any, inputs: Mapping[str, Any], *, flavour_id: str = "") -> Vnfd:
    """The VNFD again, with the inputs of one request. `templates` is `VnfPackage.templates`.

    Raises `InvalidError` naming every unknown, missing (of `flavour_id`; empty: of all flavours) or wrongly typed input.
    """
    return _bind(make_vnfd, templates, inputs, flavour_id)


def bind_nsd(templates: Any, inputs: Mapping[str, Any], *, flavour_id: str = "") -> Nsd:
    """The NSD again, with the inputs of one request. `templates` is `NsPackage.templates`. Raises as `bind_vnfd`."""
    return _bind(make_nsd, templates, inputs, flavour_id)


def _bind(make: Callable[..., D | None], stored: Any, inputs: Mapping[str, Any], flavour_id: str) -> D:
    report = Report()
    templates = Templates(stored)
    descriptor = make(templates, report, inputs)
    flavours = descriptor.flavours if descriptor is not None else {}
    chosen = [flavours[flavour_id]] if flavour_id in flavours else list(flavours.values())
    if flavour_id and flavour_id not in flavours:
        report.error(
            "unknown-flavour", f"cannot find the flavour {flavour_id!r}", fix="choose one of " + ", ".join(flavours)
        )
    _check_inputs(templates.types, [flavour.inputs for flavour in chosen], inputs, report)
    report.raise_errors("the descriptor with these inputs")
    assert descriptor is not None  # noqa: S101 - templates that were kept hold one
    return descriptor


def _check_inputs(
    types: Types, declared: Iterable[Mapping[str, InputParameter]], given: Mapping[str, Any], report: Report
) -> None:
    known = {name: parameter for inputs in declared for name, parameter in inputs.items()}
    for name, parameter in known.items():
        if name in given:
            check_value(types, Cursor(given[name], "", ("inputs", name), report), {"type": parameter.type})
        elif parameter.required:
            report.error(
                "missing-input",
                f"cannot do without the input {name}",
                path=("inputs", name),
                fix=f"give a {parameter.type}",
            )
    for name in given.keys() - known.keys():
        report.error(
            "unknown-input",
            f"cannot use the input {name}: the descriptor has none of that name",
            path=("inputs", name),
            fix="give one of " + ", ".join(sorted(known)) if known else "give no inputs",
        )
