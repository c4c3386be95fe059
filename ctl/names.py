"""Names of objects as people type them: `shop/www`, or `www` with `-n shop`."""

from __future__ import annotations

from ctl.exits import usage
from ctl.flags import current


def split(text: str) -> tuple[str, str]:
    """Namespace (maybe empty) and name. Raises Failed."""
    namespace, slash, name = text.rpartition("/")
    if "/" in namespace or not name or (slash and not namespace):
        raise usage(f'"{text}" is no name', "write NAMESPACE/NAME, for instance shop/www")
    return namespace or current().namespace, name


def one(kind: str, text: str, cluster: str) -> dict[str, str]:
    """The query for one object."""
    namespace, name = split(text)
    return {"kind": kind, "namespace": namespace, "name": name, "cluster": cluster}
