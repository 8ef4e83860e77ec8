"""The readers never fail in any other way than by their faults, whatever they are given."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.errors import InvalidError
from skerry.model.descriptors import NsPackage, VnfPackage
from skerry.packages import Limits, bind_nsd, bind_vnfd, lint, resolve
from skerry.packages.functions import FUNCTIONS
from skerry.packages.yaml_nodes import Budget, parse, plain, resolve_scalar
from tests.packages import samples

QUICK = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
WHOLE = samples.vnfd_zip()

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
functions = st.sampled_from(sorted(FUNCTIONS))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | functions, inner, max_size=4),
    max_leaves=15,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every value in a document."""
    found = [here] if here else []
    if isinstance(value, dict):
        return found + [path for key, item in value.items() for path in paths(item, (*here, key))]
    if isinstance(value, list):
        return found + [path for index, item in enumerate(value) for path in paths(item, (*here, index))]
    return found


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    for part in path[:-1]:
        document = document[part]
    document[path[-1]] = value


def loaded(text: str) -> Any:
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader


SERVER_PATHS = paths(yaml.safe_load(samples.SERVER))
SERVICE_PATHS = paths(yaml.safe_load(samples.SERVICE))


def check(data: bytes) -> None:
    """Reads, or refuses with good faults; what is read can be bound again."""
    errors, _, package = lint(data)
    assert (package is None) == bool(errors)
    for fault in errors:
        assert fault.code
        assert fault.message.startswith("cannot ")
        assert fault.fix
    if package is not None:
        assert msgspec.json.decode(msgspec.json.encode(package), type=type(package)) is not None
        bind: Any = bind_vnfd if isinstance(package, VnfPackage) else bind_nsd
        try:
            bind(package.templates, {})
        except InvalidError as error:
            assert {fault.code for fault in error.faults} <= {"missing-input"}  # noqa: PT017


@QUICK
@given(st.binary(max_size=400))
def test_any_bytes_as_archive(data: bytes) -> None:
    check(data)


@QUICK
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8), st.integers(0, 40))
def test_archive_with_changed_bytes(at: int, new: bytes, cut: int) -> None:
    check(WHOLE[:at] + new + WHOLE[at + len(new) + cut :])


@QUICK
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_as_template(data: bytes) -> None:
    check(samples.zipped({"service.yaml": data}))


@QUICK
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@,?\t\n <0.", max_size=120))
def test_yaml_like_text(text: str) -> None:
    document, faults = parse(text.encode(), "f", Budget(Limits()))
    assert document is None or not any(fault.code == "yaml-syntax" for fault in faults)


@QUICK
@given(st.sampled_from(SERVER_PATHS), values)
def test_vnfd_with_a_changed_value(path: tuple[Any, ...], value: Any) -> None:
    document = loaded(samples.SERVER)
    put(document, path, value)
    check(samples.vnfd_zip(yaml.safe_dump(document)))


@QUICK
@given(st.sampled_from(SERVICE_PATHS), values)
def test_nsd_with_a_changed_value(path: tuple[Any, ...], value: Any) -> None:
    document = loaded(samples.SERVICE)
    put(document, path, value)
    check(samples.service_zip(yaml.safe_dump(document)))


@QUICK
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_metadata_and_manifest(meta: str, manifest: str) -> None:
    files = {**samples.server_files(), "server.mf": manifest, "TOSCA-Metadata/TOSCA.meta": samples.META + meta}
    check(samples.zipped({name: content.encode("utf-8", "replace") for name, content in files.items()}))


@QUICK
@given(values, st.dictionaries(st.text(max_size=5), scalars, max_size=3))
def test_functions_resolve_or_name_what_is_unknown(value: Any, known: dict[str, Any]) -> None:
    def lookup(function: str, arguments: tuple[Any, ...]) -> Any:
        return known[str(arguments[0])] if arguments else function

    try:
        resolve(value, lookup)
    except InvalidError as error:
        assert error.faults  # noqa: PT017


@QUICK
@given(st.dictionaries(st.text(max_size=6), values, max_size=4))
def test_bind_with_any_inputs(inputs: dict[str, Any]) -> None:
    _, _, package = lint(samples.service_zip())
    assert isinstance(package, NsPackage)
    try:
        bind_nsd(package.templates, inputs)
    except InvalidError as error:
        assert error.faults  # noqa: PT017


@QUICK
@given(values)
def test_dumped_values_read_back(value: Any) -> None:
    text = yaml.safe_dump({"value": value}, allow_unicode=True, default_style='"')
    document, faults = parse(text.encode("utf-8", "surrogatepass"), "f", Budget(Limits()))
    if not faults:
        assert list(plain(document)) == ["value"]


@QUICK
@given(st.text(alphabet="0123456789+-.eE_xabtrufalsn~", max_size=12))
def test_plain_scalars_lose_nothing(text: str) -> None:
    value = resolve_scalar(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert str(value) == text.removeprefix("+")
    elif isinstance(value, str):
        assert value == text
