"""What is left of an agent's calls and bytes."""

from __future__ import annotations

import pytest

from orchestratord.clock import ManualClock
from orchestratord.rpc.meter import BURST, IN_FLIGHT, RATE, Meter, QuotaExceeded


def test_a_burst_then_as_many_as_fit_into_the_time() -> None:
    clock = ManualClock()
    meter = Meter("agent:a", clock)
    for _ in range(int(BURST)):
        meter.take(0)
    with pytest.raises(QuotaExceeded) as caught:
        meter.take(0)
    assert caught.value.details["retry_after"] == 1 / RATE
    clock.advance(1 / RATE)
    meter.take(0)
    clock.advance(1)
    for _ in range(int(RATE)):
        meter.take(0)
    with pytest.raises(QuotaExceeded):
        meter.take(0)


def test_a_pause_saves_up_no_more_than_a_burst() -> None:
    clock = ManualClock()
    meter = Meter("agent:a", clock)
    clock.advance(1000)
    meter.take(0, calls=int(BURST))
    with pytest.raises(QuotaExceeded):
        meter.take(0)


def test_what_is_refused_costs_nothing() -> None:
    meter = Meter("agent:a", ManualClock())
    with pytest.raises(QuotaExceeded):
        meter.take(0, calls=int(BURST) + 1)
    meter.take(0, calls=int(BURST))


def test_bytes_in_flight_are_bounded_and_one_large_call_always_fits() -> None:
    meter = Meter("agent:a", ManualClock())
    meter.take(IN_FLIGHT - 10)
    meter.take(10)
    with pytest.raises(QuotaExceeded) as caught:
        meter.take(1)
    assert caught.value.details["what"] == "bytes in flight"
    meter.give_back(10)
    meter.give_back(IN_FLIGHT - 10)
    meter.take(IN_FLIGHT + 1)
