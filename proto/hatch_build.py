"""Generates `fingerpost/relay/v1/` from `proto/` at every build and editable install; the result is not committed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        from grpc_tools import protoc

        root = Path(self.root)
        out = root / "fingerpost" / "relay" / "v1"
        out.mkdir(parents=True, exist_ok=True)
        (out / "__init__.py").write_text('"""Generated from proto/fingerpost/relay/v1."""\n')
        sources = sorted(str(p.relative_to(root / "proto")) for p in (root / "proto" / "fingerpost").rglob("*.proto"))
        plugin = Path(sys.executable).with_name("protoc-gen-mypy")
        args = ["protoc", f"-I{root / 'proto'}", f"--python_out={root}", f"--grpc_python_out={root}"]
        if plugin.exists():
            args += [f"--plugin=protoc-gen-mypy={plugin}", f"--mypy_out={root}"]
        if protoc.main([*args, *sources]) != 0:
            raise RuntimeError("protoc failed")
        build_data["artifacts"].append("fingerpost/relay/v1/*")
