"""docs/upgrade.md names everything that an uninstall leaves."""

from __future__ import annotations

import agent.keeping
import agent.leading
import agent.settings
import mgmt.authority
import mgmt.history.keeping
import mgmt.leading
import mgmt.settings
from fingerpost.secrets.protocol import BLOCKLIST
from tests.unit.docs.test_docs import ROOT


def test_all_that_is_left_can_be_removed_as_the_page_says() -> None:
    commands = (ROOT / "docs" / "upgrade.md").read_text().rpartition("## Uninstall")[2]
    secrets = {
        value
        for settings in (mgmt.settings.Settings, agent.settings.Settings)
        for name in settings.__struct_fields__
        if name.endswith("_secret")
        for value in (
            settings.__struct_defaults__[settings.__struct_fields__.index(name) - len(settings.__struct_fields__)],
        )
    }
    assert len(secrets) == 5
    kept = {agent.keeping.KEY_SECRET, agent.keeping.GATEWAYS_SECRET, mgmt.authority.SECRET, mgmt.history.keeping.NAME}
    leases = {agent.leading.NAME, mgmt.leading.NAME}
    assert [name for name in sorted(secrets | kept | leases | {BLOCKLIST}) if f" {name}" not in commands] == []
