"""What `diff` costs with many tables: the command, and a server that dumps its inputs meanwhile.

`loop_ms` is the longest time for which the server's loop could do nothing else.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import yaml

from bench import world
from bench.figures import emit, percentile
from mgmt.running import running_server
from mgmt.settings import Settings


async def _lateness(over: asyncio.Event) -> list[float]:
    """By how many milliseconds the server's loop, which this runs on, came too late."""
    late = []
    while not over.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append((time.perf_counter() - began) * 1000 - 1)
    return late


async def _command(*arguments: str) -> float:
    began = time.perf_counter()
    run = await asyncio.create_subprocess_exec(sys.executable, "-m", "ctl", *arguments, stdout=asyncio.subprocess.PIPE)
    await run.communicate()
    if run.returncode not in (0, 1):
        raise SystemExit(f"fingerpost {' '.join(arguments)} ended with {run.returncode}")
    return time.perf_counter() - began


async def _main(tables: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        world.write_management(root, ["c0"], tables)
        (root / "change.yaml").write_text(yaml.dump(world.table(7, 1), Dumper=yaml.CSafeDumper))
        settings = Settings(
            state_dir=root / "state",
            directory=root / "mgmt",
            relay_address="127.0.0.1:0",
            admin_address="127.0.0.1:0",
            secrets_dir=root / "secrets",
        )
        async with running_server(settings) as server:
            while not len(server.translator.tables.tables.items) >= tables:
                await asyncio.sleep(0.05)
            address = f"http://127.0.0.1:{server.admin_port}"
            config = root / "contexts.yaml"
            config.write_text(f"current: bench\ncontexts: {{bench: {{server: '{address}'}}}}\n")
            for name, during in (
                ("quiet", ("version", "--client")),
                ("diff", ("diff", "-f", str(root / "change.yaml"))),
            ):
                over = asyncio.Event()
                asking = asyncio.create_task(_lateness(over), name="bench.asking")
                took = await _command(*during, "--config", str(config))
                over.set()
                late = await asking
                emit(
                    "answers",
                    command=name,
                    tables=tables,
                    command_s=round(took, 2),
                    loop_p50_ms=round(percentile(late, 0.5), 1),
                    loop_ms=round(max(late), 1),
                )


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
