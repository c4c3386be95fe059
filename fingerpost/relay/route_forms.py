"""How the server says in which form a RouteConfiguration is to be served: metadata of the listener that asks for it.

Only a hint for the agent. The resources are the same in both forms, so an agent that does not know it serves them too.
"""

from __future__ import annotations

import enum

FORMS = "fingerpost.dev/scoped-routes"  # metadata key: RouteConfiguration -> Form, where it is not plain


class Form(enum.Enum):
    PLAIN = "plain"  # one RouteConfiguration
    AS_BEFORE = "as-before"  # whatever the gateway has now; plain where it has nothing
    SCOPED = "scoped"  # one scope per host
