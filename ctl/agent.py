"""Asking an agent on its own loopback port; the contexts file knows where it is."""

from __future__ import annotations

from typing import Any

import httpx

from ctl import deadline
from ctl.exits import Code, Failed
from ctl.flags import current


def ask(address: str, method: str, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
    """Raises Failed when it is not there, refuses, or the command's time is over."""
    address = address.rstrip("/")
    hint = "start the agent, or correct its address with fingerpost config set-context"
    rest = deadline.left()
    limit = current().request_timeout if rest is None else min(current().request_timeout, rest)
    try:
        response = httpx.request(method, f"{address}{path}", params=query or {}, timeout=limit, trust_env=False)
    except httpx.TimeoutException as e:
        if deadline.left() == 0.0:
            raise deadline.over(f"no answer of the agent at {address}") from e
        message = f"the agent at {address} does not answer: no answer within {limit:g}s"
        raise Failed(Code.UNREACHABLE, message, hint) from e
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        reason = str(e) or type(e).__name__
        raise Failed(Code.UNREACHABLE, f"the agent at {address} does not answer: {reason}", hint) from e
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code == 200 and isinstance(body, dict):
        return body
    error = body.get("error") if isinstance(body, dict) else None
    said = error.get("message", "") if isinstance(error, dict) else str(error or response.text[:200])
    code = Code.FORBIDDEN if response.status_code in (401, 403) else Code.USAGE
    hint = "" if said else "is this the admin address of an agent? fingerpost config view shows it"
    raise Failed(code, f"the agent at {address} answered {response.status_code}: {said or 'nothing'}", hint)
