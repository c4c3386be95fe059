"""A few seconds of `make fuzz`, always the same."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import targets

_FIXED = settings(deadline=None, derandomize=True, database=None)
_SOURCE = st.randoms(note_method_calls=False)


@pytest.mark.spec("M-54")
@settings(_FIXED, max_examples=300)
@given(_SOURCE)
def test_decoding_raises_nothing_and_is_stable(source: Random) -> None:
    targets.decoder(source)


@settings(_FIXED, max_examples=200)
@given(_SOURCE)
def test_an_object_of_a_file_raises_nothing(source: Random) -> None:
    targets.manifest(source)


@settings(_FIXED, max_examples=400)
@given(_SOURCE)
def test_every_end_of_the_relay_refuses_or_takes(source: Random) -> None:
    asyncio.run(targets.relay(source))


@settings(_FIXED, max_examples=100)
@given(_SOURCE)
def test_no_objects_make_a_unit_of_the_translator_fail(source: Random) -> None:
    targets.translator(source)


@settings(_FIXED, max_examples=120)
@given(_SOURCE)
def test_a_fleet_with_odd_values_makes_no_unit_fail(source: Random) -> None:
    targets.mutants(source)
