"""ResearchAgent: a team that writes a report about a planet.

Three researchers read their notes at the same time, each on a subject of its own. Then an editor
has every claim checked by ``FactCheckAgent``, another AgentDeployment's (``fact_checker``), all at
the same time, and writes what was found. The notes are years old, and some are out of date; that is
what the checking is for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from google.adk.agents import Agent
from google.adk.workflow import JoinNode, Workflow

from agent_service import durable_tool, remote_agent
from agent_service.agents import model_name

# As they could be read in 2019.
NOTES: Final[dict[str, tuple[str, str, str]]] = {
    "Mercury": ("4,879", "88", "0"),
    "Venus": ("12,104", "224.7", "0"),
    "Earth": ("12,756", "365.2", "1"),
    "Mars": ("6,792", "687", "2"),
    "Jupiter": ("142,984", "4,331", "79"),
    "Saturn": ("120,536", "10,747", "82"),
    "Uranus": ("51,118", "30,589", "27"),
    "Neptune": ("49,528", "59,800", "14"),
}
SUBJECTS: Final = {
    "size": "The diameter of {planet} is {figure} km.",
    "orbit": "A year on {planet} takes {figure} days.",
    "moons": "The number of moons of {planet} is {figure}.",
}


def notes_on(subject: str) -> Callable[[str], Awaitable[dict[str, str]]]:
    """Makes the tool that looks a subject up in a researcher's notes."""
    column = list(SUBJECTS).index(subject)

    def read(planet: str) -> dict[str, str]:
        """Looks a planet up in your notes.

        Args:
            planet: The planet's English name, for example Saturn.

        Returns:
            What the notes say, as one claim; or an error.
        """
        name = planet.strip().title()
        if name not in NOTES:
            return {"error": f"there are no notes on {planet!r}, only on {', '.join(NOTES)}"}
        return {"claim": SUBJECTS[subject].format(planet=name, figure=NOTES[name][column])}

    read.__name__ = f"{subject}_notes"
    return durable_tool(read)


def researcher(subject: str) -> Agent:
    """Makes the researcher of a subject; what it finds is in the state under the subject's name."""
    tool = f"{subject}_notes"
    return Agent(
        name=f"{subject.title()}Researcher",
        model=model_name(),
        description=f"Knows what the notes say about the {subject} of planets.",
        instruction=(
            f"You research the {subject} of the planet that the user asks about. Call {tool} once, "
            "and answer with the claim it gives, word for word and nothing else. If it gives an "
            "error, say so."
        ),
        tools=[notes_on(subject)],
        output_key=subject,
    )


editor = Agent(
    name="Editor",
    model=model_name(),
    description="Has the team's claims checked, and writes the report.",
    instruction=(
        "You are the editor of a research team. This is what it found:\n"
        + "".join(f"- {{{subject}?}}\n" for subject in SUBJECTS)
        + "Call FactCheckAgent once for each line that holds a figure, all in one answer, with the "
        "line as the message. Then write the report: one sentence for each line, as the fact "
        "checker has it. If a line couldn't be checked, say so. If there is no figure at all, say "
        "that the team found nothing."
    ),
    tools=[remote_agent("FactCheckAgent", "Checks one figure about a planet.")],
)

agent = Workflow(
    name="ResearchAgent",
    description="Writes a short report about a planet, and has each figure checked.",
    edges=[
        (
            "START",
            tuple(researcher(subject) for subject in SUBJECTS),
            JoinNode(name="notes"),
            editor,
        )
    ],
)
