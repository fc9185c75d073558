"""SupportAgent: a shop's support chat, for sessions that go on for months.

What a customer and the agent said stays in the session, and the model is not sent all of it. After
each SUPPORT_SUMMARY_TURNS turns (default 10) a model call sums them up, and from then on the model
reads the summary in their place; SUPPORT_MOST_TOKENS (default 20000) is the size of a prompt from
which summaries are summed up, too. ADK does it at a turn's end, and its model call is a journaled
step as any other is: a replay finds the same summary.

The shop is a stand-in for a real one: a few orders in a table. Tickets are kept with the customer
(``user:`` state), so that another chat of theirs knows them.
"""

from __future__ import annotations

import hashlib
import os

from google.adk.agents import Agent
from google.adk.apps.app import App, EventsCompactionConfig
from google.adk.tools.tool_context import ToolContext

from agent_service import durable_tool, restate_object_context
from agent_service.agents import model_name
from agent_service.errors import ConfigurationError

TICKETS = "user:tickets"
# Turns that a summary and the one before it share, and events that are never summed up.
OVERLAP = 1
KEPT_EVENTS = 20

ORDERS: dict[str, dict[str, str]] = {
    "S-1001": {"status": "delivered", "items": "kettle", "note": "it was left with a neighbour"},
    "S-1002": {"status": "on its way", "items": "desk lamp", "note": "it arrives within two days"},
    "S-1003": {"status": "being packed", "items": "office chair", "note": "it leaves tomorrow"},
}


def whole_number(variable: str, default: int) -> int:
    """Reads a number of 1 or more from the environment.

    Raises:
        ConfigurationError: it is none.
    """
    text = os.environ.get(variable, "").strip() or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(f"{variable} must be a whole number from 1, and is {text!r}")
    return int(text)


SUMMARY_TURNS = whole_number("SUPPORT_SUMMARY_TURNS", 10)
MOST_TOKENS = whole_number("SUPPORT_MOST_TOKENS", 20_000)


@durable_tool
def find_order(order: str) -> dict[str, str]:
    """Finds out how an order stands.

    Args:
        order: The order's number, for example S-1002.

    Returns:
        The order, its items, its status and a note; or an error.
    """
    number = order.strip().upper()
    found = ORDERS.get(number)
    if found is None:
        return {"error": f"there is no order {number}"}
    return {"order": number, **found}


def ticket_number(session: str, order: str, problem: str) -> str:
    """Names a ticket after what it is about: filed again, it is seen as the same one."""
    digest = hashlib.sha256(f"{session}\n{order}\n{problem}".encode()).hexdigest()
    return f"T-{digest[:6].upper()}"


def file_ticket(ticket: str) -> str:
    """Stands in for the help desk: takes a ticket, and knows one that it has by its number."""
    return ticket


async def open_ticket(  # noqa: D417 - the model reads it, and does not give the context
    problem: str, tool_context: ToolContext, order: str = ""
) -> dict[str, str]:
    """Opens a ticket for a person to look at.

    Args:
        problem: What is wrong, in a few words.
        order: The order's number, if it is about one.

    Returns:
        The ticket's number, the problem and the order.
    """
    context = restate_object_context()
    ticket = ticket_number(context.key(), order, problem)
    await context.run_typed(f"file ticket {ticket}", file_ticket, ticket=ticket)
    opened = {"ticket": ticket, "problem": problem, "order": order}
    others = [one for one in tool_context.state.get(TICKETS, []) if one["ticket"] != ticket]
    tool_context.state[TICKETS] = [*others, opened]
    return opened


def my_tickets(tool_context: ToolContext) -> dict[str, object]:
    """Lists the customer's tickets, those of other chats included.

    Returns:
        How many there are, and each with its number, problem and order.
    """
    tickets = tool_context.state.get(TICKETS, [])
    return {"count": len(tickets), "tickets": tickets}


agent = App(
    name="SupportAgent",
    root_agent=Agent(
        name="SupportAgent",
        model=model_name(),
        description="Answers a shop's customers, knows their orders and opens tickets.",
        instruction=(
            "You are the support chat of a shop for household goods. Call find_order for each "
            "order that is asked about, and say its status and the note. If something is broken "
            "or missing, or the customer asks for a person, call open_ticket and say the ticket's "
            "number. Call my_tickets if the customer asks about tickets. Goods can be sent back "
            "within 30 days of their arrival, unused and in their box; the money comes back "
            "within a week. Be short, friendly and exact; say so if you don't know."
        ),
        tools=[find_order, open_ticket, my_tickets],
    ),
    events_compaction_config=EventsCompactionConfig(
        compaction_interval=SUMMARY_TURNS,
        overlap_size=OVERLAP,
        token_threshold=MOST_TOKENS,
        event_retention_size=KEPT_EVENTS,
    ),
)
