"""NotesAgent: keeps a user's notes as artifacts, and remembers what they talked about.

A note is an artifact of the user (its name begins with ``user:``), so that all of their sessions
have it; a note that is kept again gets another version. After each turn the session is added to the
agent's memory. To send a note asks the user first, since what is sent can't be taken back; sending
is a stand-in for a real mail, but made as a real one must be: in a journaled step.
"""

from __future__ import annotations

from google.adk.agents import Agent
from google.adk.agents.callback_context import CallbackContext
from google.adk.tools.function_tool import FunctionTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from agent_service import restate_object_context
from agent_service.agents import model_name

LONGEST_TITLE = 80
_PREFIX = "user:"


async def keep_note(  # noqa: D417 - the model reads it, and does not give the context
    title: str, text: str, tool_context: ToolContext
) -> dict[str, object]:
    """Keeps a note; one of the same title gets another version.

    Args:
        title: A few words.
        text: All that is to be kept.

    Returns:
        The title and the version, from 0; or an error.
    """
    name = title.strip()
    if not 0 < len(name) <= LONGEST_TITLE:
        return {"error": f"a title has 1 to {LONGEST_TITLE} characters"}
    part = types.Part(text=text)
    return {"title": name, "version": await tool_context.save_artifact(_PREFIX + name, part)}


async def read_note(  # noqa: D417 - the model reads it, and does not give the context
    title: str, tool_context: ToolContext
) -> dict[str, str]:
    """Reads a note.

    Args:
        title: As list_notes has it.

    Returns:
        The title and the text; or an error.
    """
    found = await tool_context.load_artifact(_PREFIX + title.strip())
    if found is None:
        return {"error": f"there is no note {title!r}"}
    return {"title": title.strip(), "text": found.text or ""}


async def list_notes(tool_context: ToolContext) -> dict[str, object]:
    """Lists the titles of the user's notes."""
    names = [n.removeprefix(_PREFIX) for n in await tool_context.list_artifacts()]
    return {"count": len(names), "titles": ", ".join(names)}


async def recall(  # noqa: D417 - the model reads it, and does not give the context
    about: str, tool_context: ToolContext
) -> dict[str, str]:
    """Finds what was said in other conversations with the user.

    Args:
        about: Words that were used.

    Returns:
        What was found, or an error.
    """
    found = (await tool_context.search_memory(about)).memories
    said = [part.text for memory in found for part in memory.content.parts or [] if part.text]
    return {"found": " / ".join(said)} if said else {"error": f"I remember nothing about {about}"}


def deliver(title: str, text: str, to: str) -> str:
    """Stands in for the mail."""
    return f"{title!r} ({len(text)} characters) to {to}"


async def send_note(  # noqa: D417 - the model reads it, and does not give the context
    title: str, to: str, tool_context: ToolContext
) -> dict[str, str]:
    """Sends a note to somebody, once the user has confirmed that.

    Args:
        title: Which note.
        to: To whom.

    Returns:
        What was sent; or an error.
    """
    note = await read_note(title, tool_context)
    if "error" in note:
        return note
    sent = await restate_object_context().run_typed(
        f"send {title}", deliver, title=note["title"], text=note["text"], to=to
    )
    return {"sent": sent}


async def remember(callback_context: CallbackContext) -> None:
    """Adds what this turn said to the memory."""
    await callback_context.add_session_to_memory()


agent = Agent(
    name="NotesAgent",
    model=model_name(),
    description="Keeps notes, and remembers what was said.",
    instruction=(
        "You keep the user's notes. Call keep_note to keep one, read_note to read one, list_notes "
        "for the titles, and send_note to send one to somebody. If the user asks about something "
        "said before that this conversation does not have, call recall. Say in one sentence what "
        "you have done or found, with the title and the version of a note that was kept."
    ),
    tools=[
        keep_note,
        read_note,
        list_notes,
        recall,
        FunctionTool(send_note, require_confirmation=True),
    ],
    after_agent_callback=remember,
)
