"""The OpenAPI 3.1 document of everything that is served, made from the endpoints and their wire types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from skerry import __version__
from skerry.api.problem import MEDIA_TYPE, Problem
from skerry.api.route import MERGE_PATCH, Api, Endpoint

STREAMS = ("text/event-stream", "application/x-ndjson")
STREAM: dict[str, Any] = {"schema": {"type": "string"}}
"""Streams are texts as far as a schema can say; each of their lines or events is the answer's type."""

REF = "#/components/schemas/{name}"


def document(apis: Iterable[Api]) -> dict[str, Any]:
    """The document. Types of one name in two specifications are told apart by msgspec with their module's name."""
    served = [(api, major, endpoint) for api in apis for major in api.versions for endpoint in api.served(major)]
    kinds = [kind for _, _, endpoint in served for kind in (endpoint.body, endpoint.answer) if _is_type(kind)]
    unique = list(dict.fromkeys([Problem, *kinds]))
    schemas, components = msgspec.json.schema_components(unique, ref_template=REF)
    known = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for api, major, endpoint in served:
        path = paths.setdefault(api.root(major) + _plain(endpoint.path), {})
        path[endpoint.method.lower()] = _operation(api, major, endpoint, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Skerry", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _is_type(kind: Any) -> bool:
    return kind is not None and kind is not bytes


def _plain(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operation(api: Api, major: int, endpoint: Endpoint, known: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)(?::\w+)?\}", endpoint.path)
    parameters = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
    parameters += [
        {"name": q.name, "in": "query", "description": q.text, "schema": {"type": "string"}} for q in endpoint.query
    ]
    operation: dict[str, Any] = {
        "tags": [api.title],
        "summary": endpoint.summary,
        "operationId": _operation_id(api, major, endpoint),
        "responses": _responses(endpoint, known),
    }
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        media = (*endpoint.accepts, MERGE_PATCH) if endpoint.method == "PATCH" else endpoint.accepts
        operation["requestBody"] = {"required": True, "content": {name: _media(endpoint.body, known) for name in media}}
    return operation


def _operation_id(api: Api, major: int, endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", f"{endpoint.method.lower()} {api.name} v{major} {_plain(endpoint.path)}")
    return "_".join(words)


def _responses(endpoint: Endpoint, known: dict[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    if endpoint.answer is not None:
        success["content"] = {
            name: STREAM if name in STREAMS else _media(endpoint.answer, known) for name in endpoint.produces
        }
    problem = {"description": "Problem details", "content": {MEDIA_TYPE: {"schema": known[Problem]}}}
    return {str(endpoint.status): success, "default": problem}


def _media(kind: Any, known: dict[Any, Any]) -> dict[str, Any]:
    return {"schema": {"type": "string", "format": "binary"} if kind is bytes else known[kind]}
