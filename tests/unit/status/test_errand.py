"""Work is done at once when somebody says so, and again when some of it has failed."""

from __future__ import annotations

import asyncio

import pytest

from mgmt.status.errand import Errand


class Work:
    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.done: asyncio.Queue[bool] = asyncio.Queue()

    async def __call__(self) -> bool:
        answer = self.answers.pop(0)
        self.done.put_nowait(answer)
        return answer


async def ended(errand: Errand, work: Work, *, looks: int = 0) -> list[bool]:
    """What each round answered, until none is left."""
    found = []
    running = asyncio.create_task(errand.run())
    try:
        async with asyncio.timeout(10):
            while work.answers or not work.done.empty():
                found.append(await work.done.get())
                if looks:
                    looks -= 1
                    errand.look()
    finally:
        running.cancel()
    return found


@pytest.mark.spec("M-27")
async def test_what_failed_is_tried_again_without_being_told() -> None:
    work = Work(False, False, True)
    assert await ended(Errand(work, again=0.001), work) == [False, False, True]


@pytest.mark.spec("M-27")
async def test_a_look_does_not_wait_for_the_next_trial() -> None:
    work = Work(True, False, True)
    assert await ended(Errand(work, again=3600), work, looks=2) == [True, False, True]
