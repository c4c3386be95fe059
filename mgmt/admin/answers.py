"""Answers and refusals of the admin API: JSON with sorted keys, and one shape for every error."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fingerpost.objects import canonical


class Refused(Exception):
    """The question cannot be answered as it was asked. `code` is stable."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def answer(value: Any, status: int = 200) -> Response:
    return Response(canonical(value), status_code=status, media_type="application/json")


def error(status: int, code: str, message: str) -> Response:
    return answer({"error": {"code": code, "message": message}}, status)


async def refused(_: Request, reason: Exception) -> Response:
    if not isinstance(reason, Refused):
        raise reason
    return error(reason.status, reason.code, str(reason))


async def http_error(request: Request, reason: Exception) -> Response:
    if not isinstance(reason, HTTPException):
        raise reason
    if reason.status_code == 404:
        return error(404, "NoSuchPath", f"{request.url.path} is no path of this API")
    return error(reason.status_code, "BadRequest", reason.detail)
