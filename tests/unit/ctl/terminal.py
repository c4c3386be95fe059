"""What a process writes on a pseudo-terminal."""

from __future__ import annotations

import os


def read_until(file: int, words: str) -> str:
    text = ""
    while words not in text:
        text += os.read(file, 65536).decode(errors="replace")
    return text
