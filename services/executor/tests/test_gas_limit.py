"""The gas limit is checked at the start: a warning, a refusal, or nothing."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from hansa.chainspec import ConsensusRules
from hansa.service import StartRefused
from hansa.worst import startup
from hansa_executor import gas_limit, limits, metrics


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine of 20 Mgas/s. What was measured."""
    asked: list[Any] = []

    def slowest(spec: Any) -> startup.Slowest:
        asked.append(spec)
        return startup.Slowest("PAIRING", 20e6)

    monkeypatch.setattr(startup, "slowest", slowest)
    monkeypatch.setattr(limits, "GAS_LIMIT_CHECK_DELAY_SECONDS", 0.0)
    return asked


def chain(gas: int, *, hansa: bool = True) -> Any:
    """What the check looks at."""
    return SimpleNamespace(hansa=hansa, kernel=object(), gas_limit=gas, consensus=ConsensusRules(engine="pbft"))


async def test_a_gas_limit_that_fits_is_not_mentioned(slow: list[Any]) -> None:
    with structlog.testing.capture_logs() as logs, ThreadPoolExecutor(1) as pool:
        await gas_limit.warn_if_too_high(chain(20_000_000), "warn", pool)
        await gas_limit.refuse_if_too_high(chain(20_000_000), "refuse")
    assert logs == []
    assert len(slow) == 2
    assert metrics.SLOWEST_MIX._value.get() == 20e6


async def test_a_gas_limit_that_is_too_high_is_warned_of(slow: list[Any]) -> None:
    with structlog.testing.capture_logs() as logs, ThreadPoolExecutor(1) as pool:
        await gas_limit.warn_if_too_high(chain(60_000_000), "warn", pool)
    (entry,) = logs
    assert (entry["log_level"], entry["event"], entry["field"]) == ("warning", "gas_limit_too_high", "gasLimit")
    assert (entry["mix"], entry["block_ms"], entry["allowed_ms"]) == ("PAIRING", 3_000, 1_000)
    assert entry["suggestion"] == 20_000_000


async def test_a_strict_member_does_not_start(slow: list[Any]) -> None:
    with pytest.raises(StartRefused, match=r"gasLimit 60000000.*lower gasLimit to 20000000.*gas_limit_check is refuse"):
        await gas_limit.refuse_if_too_high(chain(60_000_000), "refuse")
    assert len(slow) == 1


@pytest.mark.parametrize(("mode", "hansa"), [("off", True), ("warn", False), ("refuse", False)])
async def test_nothing_is_measured_where_nobody_asks(slow: list[Any], mode: Any, hansa: bool) -> None:
    found = chain(1 << 40, hansa=hansa)
    with ThreadPoolExecutor(1) as pool:
        await gas_limit.refuse_if_too_high(found, mode)
        await gas_limit.warn_if_too_high(found, mode, pool)
    assert slow == []
