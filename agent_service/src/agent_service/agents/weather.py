"""WeatherAgent: one tool, whose lookup is a journaled step.

The weather is typical, not today's: rounded monthly averages of the daytime temperature, shipped
with the package, because an example must work without an account at a weather service. The tool's
answer says so ("typical for July"). WEATHER_UNITS is ``celsius`` (default) or ``fahrenheit``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from google.adk.agents import Agent
from pydantic import BaseModel

from agent_service import restate_object_context
from agent_service.agents import model_name
from agent_service.errors import ConfigurationError

UNITS = {"celsius": "°C", "fahrenheit": "°F"}

# Typical daytime temperatures in °C, January to December, and the sky in winter, spring, summer
# and autumn. Rounded by hand from common climate tables; close enough for small talk.
CLIMATE: dict[str, tuple[tuple[int, ...], tuple[str, str, str, str]]] = {
    "Berlin": ((3, 5, 9, 14, 19, 23, 25, 25, 20, 14, 8, 4), ("cloudy", "fair", "sunny", "fair")),
    "Cairo": (
        (19, 21, 24, 28, 32, 34, 35, 34, 33, 29, 25, 20),
        ("sunny", "sunny", "sunny", "sunny"),
    ),
    "Delhi": ((20, 24, 30, 36, 40, 39, 35, 34, 34, 33, 28, 23), ("hazy", "hot", "rainy", "hazy")),
    "London": ((8, 9, 11, 14, 18, 21, 23, 23, 20, 15, 11, 9), ("rainy", "fair", "fair", "rainy")),
    "Madrid": ((10, 12, 16, 18, 23, 29, 33, 32, 27, 20, 14, 10), ("fair", "fair", "sunny", "fair")),
    "Nairobi": (
        (26, 27, 27, 25, 24, 23, 22, 23, 26, 26, 24, 25),
        ("sunny", "rainy", "cloudy", "fair"),
    ),
    "New York": ((4, 6, 10, 16, 22, 27, 30, 29, 25, 18, 12, 7), ("fair", "fair", "sunny", "fair")),
    "Oslo": ((-1, 1, 5, 11, 17, 20, 22, 21, 16, 9, 4, 0), ("snowy", "fair", "sunny", "rainy")),
    "Paris": ((7, 8, 12, 16, 20, 23, 25, 25, 21, 16, 11, 8), ("cloudy", "fair", "sunny", "fair")),
    "Rome": ((12, 13, 16, 19, 24, 28, 31, 31, 27, 22, 17, 13), ("fair", "fair", "sunny", "fair")),
    "San Francisco": (
        (14, 16, 17, 17, 18, 19, 19, 20, 21, 21, 17, 14),
        ("rainy", "fair", "foggy", "sunny"),
    ),
    "Sydney": (
        (26, 26, 25, 23, 20, 18, 17, 18, 21, 23, 24, 26),
        ("sunny", "fair", "cloudy", "fair"),
    ),
    "Tokyo": ((10, 11, 14, 19, 23, 26, 30, 31, 28, 22, 17, 12), ("sunny", "fair", "rainy", "fair")),
}
_BY_NAME = {name.casefold(): name for name in CLIMATE}


class Weather(BaseModel):
    """What the tool tells the model."""

    city: str
    temperature: int
    unit: str
    conditions: str
    basis: str


def units() -> str:
    """Returns the units to answer in.

    Raises:
        ConfigurationError: WEATHER_UNITS is neither celsius nor fahrenheit.
    """
    chosen = os.environ.get("WEATHER_UNITS", "").strip().lower() or "celsius"
    if chosen not in UNITS:
        raise ConfigurationError(f"WEATHER_UNITS must be celsius or fahrenheit, and is {chosen!r}")
    return chosen


def look_up(city: str, month: int, unit: str) -> Weather | None:
    """Looks a city's typical weather up.

    Args:
        city: its name, in any case.
        month: 1 to 12.
        unit: ``celsius`` or ``fahrenheit``.

    Returns:
        The weather, or None for a city that isn't in the table.
    """
    name = _BY_NAME.get(city.strip().casefold())
    if name is None:
        return None
    temperatures, sky = CLIMATE[name]
    celsius = temperatures[month - 1]
    temperature = celsius if unit == "celsius" else round(celsius * 9 / 5 + 32)
    return Weather(
        city=name,
        temperature=temperature,
        unit=UNITS[unit],
        conditions=sky[month % 12 // 3],
        basis=f"typical for {datetime(2000, month, 1, tzinfo=UTC):%B}",
    )


UNIT = units()


async def get_weather(city: str) -> dict[str, object]:
    """Gets the weather in a city.

    Args:
        city: The city's English name, for example Paris.

    Returns:
        The city, temperature, unit, conditions, and what they are based on; or an error.
    """
    # In a step of its own: the lookup and its date are made once, however often the turn resumes.
    found = await restate_object_context().run_typed(
        f"look up the weather in {city}", _weather_now, city=city
    )
    if found is None:
        return {"error": f"no weather for {city!r}; known are {', '.join(sorted(CLIMATE))}"}
    return found.model_dump()


def _weather_now(city: str) -> Weather | None:
    return look_up(city, datetime.now(UTC).month, UNIT)


agent = Agent(
    name="WeatherAgent",
    model=model_name(),
    description="Tells the typical weather in large cities.",
    instruction=(
        "You tell people the weather. Call get_weather for each city that is asked about, and "
        "answer in one short sentence for each with the temperature, its unit and the conditions, "
        "exactly as the tool gives them. If the tool gives an error, say so."
    ),
    tools=[get_weather],
)
