"""`python -m tests.chaos.unguarded`: an agent without its guard against large losses. The soak must find it out."""

from __future__ import annotations

from agent.__main__ import main
from agent.apply.gateway import GatewayState

if __name__ == "__main__":
    GatewayState._too_much = lambda *_: False  # type: ignore[method-assign]  # that is the fault
    main()
