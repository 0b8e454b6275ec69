"""Tests that count by days or months should not end in another one than they began in."""

import asyncio

from trunkline import clock


async def within_a_day() -> None:
    """Waits out the last minute of a day (UTC)."""
    now = clock.now()
    seconds_left = 86_400 - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    if seconds_left < 60:
        await asyncio.sleep(seconds_left + 0.1)
