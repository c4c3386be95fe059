"""Asking the servers of a context. Each replica knows only its own agents, so all of them are asked at once (C-2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from ctl import deadline
from ctl.contexts import Context, chosen
from ctl.exits import Code, Failed
from ctl.flags import current
from ctl.output import note

Roads = Mapping[str, httpx.AsyncBaseTransport | None]
_CODES = {400: Code.USAGE, 403: Code.FORBIDDEN, 404: Code.USAGE, 409: Code.USAGE}


class Answers(NamedTuple):
    """`missing` maps each silent address to the reason."""

    context: str
    bodies: tuple[dict[str, Any], ...]
    missing: Mapping[str, str]

    @property
    def version(self) -> str:
        return next((str(b["version"]) for b in self.bodies if "version" in b), "")


class _Reply(NamedTuple):
    address: str
    status: int = 0
    body: Any = None
    trouble: str = ""
    late: bool = False  # the command's time was over


def get(path: str, query: Mapping[str, str] | None = None, patience: float = 0.0, grace: float = 0.0) -> Answers:
    """`patience`: how long the server itself may take; `grace`: how much longer than the command. Raises Failed when
    none answers in time or one refuses.
    """
    return _asked("GET", path, dict(query or {}), None, patience, grace)


def post(path: str, body: Mapping[str, Any]) -> Answers:
    return _asked("POST", path, {}, body, 0.0, 0.0)


def get_each(addresses: Sequence[str], path: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The answers by address, of agents too; and of each that gave none the reason."""
    replies = deadline.run(_ask_all("GET", addresses, path, {}, None, 0.0, 0.0))
    good = {r.address: r.body for r in replies if r.status == 200}
    return good, {r.address: r.trouble or f"it answered {r.status}" for r in replies if r.address not in good}


def first(answers: Answers) -> dict[str, Any]:
    return answers.bodies[0]


def _asked(
    method: str, path: str, query: dict[str, str], body: Mapping[str, Any] | None, patience: float, grace: float
) -> Answers:
    name, replies = deadline.run(_ask_servers(method, path, query, body, patience, grace), grace)
    good = tuple(r.body for r in replies if r.status == 200)
    missing = {r.address: r.trouble for r in replies if r.trouble}
    refusals = sorted((r for r in replies if r.status not in (0, 200)), key=_is_not_leading)
    refused = refusals[0] if refusals else None
    if not good and refused is not None:
        raise _refusal(refused)
    if late := [r.address for r in replies if r.late and not good]:
        raise deadline.over(f"no answer of the management server at {', '.join(late)}")
    if not good:
        raise unreachable(missing)
    return Answers(name, good, missing)


async def _ask_servers(
    method: str, path: str, query: dict[str, str], body: Mapping[str, Any] | None, patience: float, grace: float
) -> tuple[str, list[_Reply]]:
    name, context = chosen()
    async with _servers(context) as (addresses, roads):
        replies = await _ask_all(method, addresses, path, query, body, patience, grace, roads)
    return name, replies


@asynccontextmanager
async def _servers(context: Context) -> AsyncIterator[tuple[Sequence[str], Roads]]:
    """Their addresses, and how to get to those that are no addresses of this network."""
    if not context.on_kubernetes:
        yield context.addresses, {}
        return
    from ctl.kube.forwards import forwarded

    async with forwarded(context) as roads:
        yield list(roads), roads


def unreachable(missing: Mapping[str, str]) -> Failed:
    text = "; ".join(f"{address}: {trouble}" for address, trouble in missing.items())
    hint = (
        "start the server, or give its admin address with fingerpost config set-context NAME --server URL; "
        "on Kubernetes name its cluster with --kubeconfig or --kubecontext"
    )
    return Failed(Code.UNREACHABLE, f"no management server answers at {text}", hint, "ServerUnreachable")


def _is_not_leading(reply: _Reply) -> bool:
    """It only says that another replica has the last word."""
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    return isinstance(error, dict) and error.get("code") == "NotLeading"


def _refusal(reply: _Reply) -> Failed:
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    if not isinstance(error, dict):
        message = f"{reply.address} answered {reply.status}"
        hint = "is this the admin address of a management server?"
        return Failed(_CODES.get(reply.status, Code.UNREACHABLE), message, hint, "UnexpectedAnswer")
    code = _CODES.get(reply.status, Code.FINDINGS)
    return Failed(code, str(error.get("message", "")), "", str(error.get("code", "")))


async def _ask_all(
    method: str,
    addresses: Sequence[str],
    path: str,
    query: dict[str, str],
    body: Mapping[str, Any] | None,
    patience: float,
    grace: float,
    roads: Roads | None = None,
) -> list[_Reply]:
    limit = httpx.Timeout(current().request_timeout + patience, connect=current().request_timeout)
    # the environment's proxies are for the internet, not for a server on this machine
    async with (
        httpx.AsyncClient(timeout=limit, trust_env=False, mounts=roads or {}) as client,
        asyncio.TaskGroup() as group,
    ):
        tasks = [
            group.create_task(_ask(client, method, address, path, query, body, grace), name=f"ask {address}")
            for address in addresses
        ]
    return [task.result() for task in tasks]


async def _ask(
    client: httpx.AsyncClient, method: str, address: str, path: str, query: dict[str, str], body: Any, grace: float
) -> _Reply:
    rest = deadline.left()
    try:
        async with asyncio.timeout(None if rest is None else rest + grace) as whole:
            response = await client.request(method, f"{address}{path}", params=query, json=body)
        if current().verbose:
            took = response.elapsed.total_seconds() * 1000
            note(f"{method} {response.url} {response.status_code} in {took:.0f} ms, {len(response.content)} bytes")
        return _Reply(address, response.status_code, response.json())
    except TimeoutError:
        if not whole.expired():
            raise
        return _Reply(address, trouble=f"no answer before the --timeout of {current().timeout:g}s was over", late=True)
    except httpx.TimeoutException as e:
        waited = client.timeout.connect if isinstance(e, httpx.ConnectTimeout) else client.timeout.read
        return _Reply(address, trouble=f"no answer within {waited:g}s")
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as e:
        return _Reply(address, trouble=f"not an address: {e}")
    except httpx.HTTPError as e:
        return _Reply(address, trouble=_reason(e))
    except ValueError:
        return _Reply(address, trouble="the answer is not JSON; is this the admin address of a management server?")


def _reason(e: httpx.HTTPError) -> str:
    text = str(e) or type(e).__name__
    return "connection refused" if "All connection attempts failed" in text else text
