"""FactCheckAgent: compares a figure about a planet with an almanac's.

It is small on purpose: an agent that other agents call, as ``research`` does. It is an
AgentDeployment of its own, so it is released, scaled and rolled back by itself.
"""

from __future__ import annotations

from typing import Final

from google.adk.agents import Agent

from agent_service import durable_tool
from agent_service.agents import model_name

UNITS: Final = {"diameter": "km", "year": "days", "moons": "moons"}

# Equatorial diameters and sidereal years; moons as far as they were confirmed in mid-2025.
ALMANAC: Final[dict[str, dict[str, float]]] = {
    "Mercury": {"diameter": 4_879, "year": 88, "moons": 0},
    "Venus": {"diameter": 12_104, "year": 224.7, "moons": 0},
    "Earth": {"diameter": 12_756, "year": 365.2, "moons": 1},
    "Mars": {"diameter": 6_792, "year": 687, "moons": 2},
    "Jupiter": {"diameter": 142_984, "year": 4_331, "moons": 97},
    "Saturn": {"diameter": 120_536, "year": 10_747, "moons": 274},
    "Uranus": {"diameter": 51_118, "year": 30_589, "moons": 28},
    "Neptune": {"diameter": 49_528, "year": 59_800, "moons": 16},
}
# Figures are rounded in many ways; moons are counted.
TOLERANCE: Final = {"diameter": 0.01, "year": 0.01, "moons": 0.0}


@durable_tool
def compare(planet: str, quantity: str, claimed: float) -> dict[str, object]:
    """Compares a figure about a planet with the almanac's.

    Args:
        planet: The planet's English name, for example Saturn.
        quantity: diameter (in km), year (in days) or moons (how many).
        claimed: The figure that is claimed, in that unit.

    Returns:
        The planet, quantity, unit, the claimed and the known figure, and the verdict (right or
        wrong); or an error.
    """
    name = planet.strip().title()
    if name not in ALMANAC:
        return {"error": f"{planet!r} is none of {', '.join(ALMANAC)}"}
    if quantity not in UNITS:
        return {"error": f"{quantity!r} is none of {', '.join(UNITS)}"}
    known = ALMANAC[name][quantity]
    right = abs(claimed - known) <= known * TOLERANCE[quantity]
    return {
        "planet": name,
        "quantity": quantity,
        "unit": UNITS[quantity],
        "claimed": f"{claimed:,.10g}",
        "known": f"{known:,.10g}",
        "verdict": "right" if right else "wrong",
    }


agent = Agent(
    name="FactCheckAgent",
    model=model_name(),
    description="Checks a figure about a planet against an almanac.",
    instruction=(
        "You check claims about planets. For the claim you are given call compare once, with the "
        "planet, the quantity and the figure, in the tool's unit. Then say in one sentence whether "
        "the claim is right, with the known figure and its unit; if it is wrong, say what was "
        "claimed, too. If the tool gives an error, say so."
    ),
    tools=[compare],
)
