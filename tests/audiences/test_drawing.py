"""Lots: the same by the database and without it, uniform, and independent of each other."""

from itertools import pairwise

import numpy as np
import pytest
from flask import Flask
from pyroaring import BitMap64
from scipy.stats import chi2_contingency, chisquare
from sqlalchemy import BigInteger, func, select

from app.audiences.drawing import drawn, new_salt, place_of, places, salt_of
from app.core.extensions import db

MANY = BitMap64(range(1, 100_001))


@pytest.mark.parametrize("salt", [1, 2**31, 2**62, 987_654_321_012_345, -5, -(2**63)])
def test_the_database_draws_the_same(app: Flask, salt: int) -> None:
    ids = [1, 2, 3, 500, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**40 + 7, 2**62]
    numbers = func.unnest(ids).column_valued("number")
    by_database = dict(db.session.execute(select(numbers, place_of(numbers.cast(BigInteger), salt))).all())
    here = places(BitMap64(ids), salt)
    assert [by_database[number] for number in ids] == list(here)


def test_the_database_draws_the_same_for_a_hundred_thousand(app: Flask) -> None:
    salt = new_salt()
    number = func.generate_series(1, 100_000).column_valued("number")
    taken = select(func.count()).where(place_of(number.cast(BigInteger), salt) < 0.1)
    assert db.session.scalar(taken) == len(drawn(MANY, salt, [0.1])[0])


@pytest.mark.parametrize("salt", [1, 42, 2**61 + 3])
def test_places_are_uniform(salt: int) -> None:
    counts, _edges = np.histogram(places(MANY, salt), bins=100, range=(0, 1))
    assert chisquare(counts).pvalue > 0.001
    # Whatever way the ids of an audience are chosen: every tenth, or a stretch of them.
    for some in (BitMap64(range(7, 1_000_007, 10)), BitMap64(range(10**9, 10**9 + 100_000))):
        assert chisquare(np.histogram(places(some, salt), bins=100, range=(0, 1))[0]).pvalue > 0.001


def test_neighbours_have_nothing_to_do_with_each_other() -> None:
    lots = places(MANY, 42)
    pairs = [(int(one * 10), int(other * 10)) for one, other in pairwise(lots)]
    table = np.zeros((10, 10))
    for one, other in pairs:
        table[one, other] += 1
    assert chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize("salt", [5, 2**55, 123_456_789])
def test_variants_are_drawn_independently_of_the_control_group_and_of_each_other(salt: int) -> None:
    control, treated = drawn(MANY, salt, [0.1])
    variants = drawn(MANY, salt_of(salt, 7), [0.5, 0.3])
    others = drawn(MANY, salt_of(salt, 8), [0.5, 0.3])
    assert chi2_contingency([[len(a & b) for a in (control, treated)] for b in variants]).pvalue > 0.001
    assert chi2_contingency([[len(a & b) for a in others] for b in variants]).pvalue > 0.001


def test_sets_are_apart_and_together_everybody() -> None:
    sets = drawn(MANY, 9, [0.2, 0.2, 0.5])
    assert len(sets) == 4
    assert sum(len(one) for one in sets) == len(MANY)
    assert BitMap64().union(*sets) == MANY


def test_a_larger_share_keeps_whom_a_smaller_one_took() -> None:
    assert drawn(MANY, 9, [0.1])[0] < drawn(MANY, 9, [0.15])[0]


def test_nobody_and_everybody_may_be_drawn() -> None:
    assert drawn(MANY, 3, [0.0])[0] == BitMap64()
    assert drawn(MANY, 3, [1.0])[0] == MANY
    assert drawn(BitMap64(), 3, [0.5]) == [BitMap64(), BitMap64()]


def test_salts_differ() -> None:
    assert len({new_salt() for _ in range(1_000)}) == 1_000
