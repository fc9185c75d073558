"""The script for the shipped agents: it uses the tools they declare and what these respond."""

from __future__ import annotations

from agent_service.testing.rules import Call, Reply, Rule, When

_CITY = (
    r"(?:\b[Ii]n|\b[Ff]or|\band|,)\s+(?!and\b)(?P<city>[A-Z][\w'-]*(?: [A-Z][\w'-]*)*|[a-z]{3,})"
)
_CLAIM = r"(?i:claim\s+(?:number\s+|no\.?\s*|#)?(?P<claim>[\w-]*\d[\w-]*))"
_AMOUNT_FIRST = r"\b(?P<amount>\d[\d,]*(?:\.\d+)?)\s*(?i:EUR\b|€|euros?\b)"
_AMOUNT_LAST = r"(?i:EUR|€|\bof|\bfor|\bover)\s*(?P<amount>\d[\d,]*(?:\.\d+)?)(?![\w-])"
_REASON = r"(?:.*?(?i:for|on)\s+(?P<reason>(?!claim|\d)[a-zA-Z][\w '-]{2,60}))?"

_WEATHER = [
    Rule(
        name="weather answer",
        when=When(response_of="get_weather", response_has=["temperature"]),
        reply=Reply(text="It is {temperature} {unit} in {city}, {conditions}."),
    ),
    Rule(
        name="weather unknown",
        when=When(response_of="get_weather", response_has=["error"]),
        reply=Reply(text="I can't tell: {error}."),
    ),
    Rule(
        name="weather lookup",
        when=When(tool="get_weather", text=_CITY, after_response=False),
        reply=Reply(calls=[Call(name="get_weather", args={"city": "{city}"}, for_each=_CITY)]),
    ),
    Rule(
        name="weather where",
        when=When(tool="get_weather", after_response=False),
        reply=Reply(text="Which city would you like to know the weather in?"),
    ),
]

_CLAIM_ARGS = {"claim": "{claim}", "amount": "{amount:number}", "reason": "{reason}"}
_CLAIMS = [
    Rule(
        name="claim paid",
        when=When(response_of="file_claim", response={"decision": "approved"}),
        reply=Reply(
            text="Claim {claim} for {amount} {currency} was approved by {decided_by} and paid "
            "(reference {payment}). {comment}"
        ),
    ),
    Rule(
        name="claim refused",
        when=When(response_of="file_claim", response={"decision": "refused"}),
        reply=Reply(
            text="Claim {claim} for {amount} {currency} was refused by {decided_by}. {comment}"
        ),
    ),
    Rule(
        name="claim error",
        when=When(response_of="file_claim", response_has=["error"]),
        reply=Reply(text="I can't file this claim: {error}."),
    ),
    *(
        Rule(
            name="claim filed",
            when=When(
                tool="file_claim",
                text=f"(?s)^(?=.*?{_CLAIM})(?=.*?{amount}){_REASON}",
                after_response=False,
            ),
            reply=Reply(calls=[Call(name="file_claim", args=_CLAIM_ARGS)]),
        )
        for amount in (_AMOUNT_FIRST, _AMOUNT_LAST)
    ),
    Rule(
        name="claim what",
        when=When(tool="file_claim", after_response=False),
        reply=Reply(text="Please tell me the claim's number and the amount in EUR."),
    ),
]

_ORDER = r"(?i:order)\s+(?:(?i:number|no\.?)\s*|#)?(?P<order>[A-Za-z]-\d+)"
_PROBLEM = r"(?P<problem>(?i:is|was|came|arrived)\s+(?i:broken|damaged|missing|late)\b[^.!?]*)"
_TERMS = (
    "You can send goods back within 30 days of their arrival, as long as they are unused and still "
    "in their box. Pack them well, put the slip from the parcel on top, and hand them in at any "
    "post office: you pay nothing for it. The money comes back within a week after the parcel has "
    "reached us, the same way as you paid. Kettles, lamps and chairs that were broken when they "
    "came are no returns: tell me the order and what is wrong, and a colleague looks after it. If "
    "anything else is unclear, just ask me."
)
_SUPPORT = [
    # What ADK asks for where a long session is summed up.
    Rule(
        name="support summary",
        when=When(text=f"(?s)^The following is a conversation history.*?{_ORDER}"),
        reply=Reply(text="Conversation Language: English. The customer asked for order {order}."),
    ),
    Rule(
        name="summary",
        when=When(text="^The following is a conversation history"),
        reply=Reply(text="Conversation Language: English. They talked."),
    ),
    Rule(
        name="support order",
        when=When(response_of="find_order", response_has=["status"]),
        reply=Reply(text="Order {order} ({items}) is {status}: {note}."),
    ),
    Rule(
        name="support unknown",
        when=When(response_of="find_order", response_has=["error"]),
        reply=Reply(text="Sorry, {error}."),
    ),
    Rule(
        name="support opened",
        when=When(response_of="open_ticket"),
        reply=Reply(text="I am sorry. I have opened ticket {ticket} for order {order}: {problem}."),
    ),
    Rule(
        name="support tickets",
        when=When(response_of="my_tickets"),
        reply=Reply(text="You have {count} tickets."),
    ),
    Rule(
        name="support problem",
        when=When(tool="open_ticket", text=f"{_ORDER}.*?{_PROBLEM}", after_response=False),
        reply=Reply(
            calls=[Call(name="open_ticket", args={"order": "{order}", "problem": "{problem}"})]
        ),
    ),
    Rule(
        name="support lookup",
        when=When(tool="find_order", text=_ORDER, after_response=False),
        reply=Reply(calls=[Call(name="find_order", args={"order": "{order}"}, for_each=_ORDER)]),
    ),
    Rule(
        name="support which tickets",
        when=When(tool="my_tickets", text="(?i)tickets", after_response=False),
        reply=Reply(calls=[Call(name="my_tickets")]),
    ),
    Rule(
        name="support recall",
        when=When(tool="find_order", text="(?i)which order", history=_ORDER),
        reply=Reply(text="You asked for order {order}."),
    ),
    # Long, so that it is worth streaming.
    Rule(
        name="support terms",
        when=When(tool="find_order", text="(?i)send .*back|returns?\\b"),
        reply=Reply(text=_TERMS, pause=0.1),
    ),
    Rule(
        name="support how",
        when=When(tool="find_order", after_response=False),
        reply=Reply(text="How can I help? Tell me an order's number, or what is wrong with it."),
    ),
]

_PLANET = r"\b(?P<planet>[A-Z][a-z]+)\b(?=\W*$)"
_CLAIM_LINE = r"(?m)^- (?P<claim>[A-Z].*\d.*\.)$"


def _researcher(subject: str) -> list[Rule]:
    tool = f"{subject}_notes"
    return [
        Rule(
            name=f"{subject} found",
            when=When(response_of=tool, response_has=["claim"]),
            reply=Reply(text="{claim}"),
        ),
        Rule(
            name=f"{subject} unknown",
            when=When(response_of=tool, response_has=["error"]),
            reply=Reply(text="I found nothing: {error}."),
        ),
        Rule(
            name=f"{subject} research",
            when=When(tool=tool, text=_PLANET, after_response=False),
            reply=Reply(calls=[Call(name=tool, args={"planet": "{planet}"})]),
        ),
        Rule(
            name=f"{subject} of what",
            when=When(tool=tool, after_response=False),
            reply=Reply(text="I need the name of a planet."),
        ),
    ]


_FACT_CHECKER = "FactCheckAgent"
_RESEARCH = [
    *(rule for subject in ("size", "orbit", "moons") for rule in _researcher(subject)),
    Rule(
        name="report",
        when=When(response_of=_FACT_CHECKER, response_has=["answer"]),
        reply=Reply(text="{answer}"),
    ),
    Rule(
        name="report unchecked",
        when=When(response_of=_FACT_CHECKER, response_has=["error"]),
        reply=Reply(text="Not checked: {error}."),
    ),
    Rule(
        name="check claims",
        when=When(tool=_FACT_CHECKER, system=_CLAIM_LINE, after_response=False),
        reply=Reply(
            calls=[
                Call(
                    name=_FACT_CHECKER,
                    args={"message": "{claim}"},
                    for_each=_CLAIM_LINE,
                    within="system",
                )
            ]
        ),
    ),
    Rule(
        name="nothing to check",
        when=When(tool=_FACT_CHECKER, after_response=False),
        reply=Reply(text="The team found nothing. Ask about one of the eight planets."),
    ),
]

_FIGURE = r"(?P<figure>\d[\d,]*(?:\.\d+)?)"
_FACT_CHECKS = [
    *(
        Rule(
            name=f"fact {verdict}",
            when=When(response_of="compare", response={"verdict": verdict}),
            reply=Reply(text=text),
        )
        for verdict, text in (
            ("right", "Confirmed: {planet}, {quantity}: {known} {unit}."),
            ("wrong", "Wrong: {planet}, {quantity}: {known} {unit}, not {claimed}."),
        )
    ),
    Rule(
        name="fact unknown",
        when=When(response_of="compare", response_has=["error"]),
        reply=Reply(text="I can't tell: {error}."),
    ),
    *(
        Rule(
            name=f"fact {quantity}",
            when=When(tool="compare", text=text, after_response=False),
            reply=Reply(
                calls=[
                    Call(
                        name="compare",
                        args={
                            "planet": "{planet}",
                            "quantity": quantity,
                            "claimed": "{figure:number}",
                        },
                    )
                ]
            ),
        )
        for quantity, text in (
            ("diameter", rf"(?P<planet>[A-Z][a-z]+) (?:is|measures) {_FIGURE} km"),
            ("year", rf"(?P<planet>[A-Z][a-z]+) (?:takes|lasts) {_FIGURE} days"),
            ("moons", rf"moons of (?P<planet>[A-Z][a-z]+) is {_FIGURE}"),
        )
    ),
    Rule(
        name="fact what",
        when=When(tool="compare", after_response=False),
        reply=Reply(text="Please give me one figure about one planet."),
    ),
]

_NOTE = r"(?P<title>[\w-]+(?: [\w-]+){0,5})"
_KEEP = rf"(?s)[Kk]eep (?:the |a )?note {_NOTE}: (?P<text>.+?)"
_NOTES = [
    Rule(
        name="note sent",
        when=When(response_of="send_note", response_has=["sent"]),
        reply=Reply(text="I have sent {sent}."),
    ),
    Rule(
        name="note kept",
        when=When(response_of="keep_note", response_has=["version"]),
        reply=Reply(text="I have kept the note {title}, version {version}."),
    ),
    Rule(
        name="note read",
        when=When(response_of="read_note", response_has=["text"]),
        reply=Reply(text="The note {title} says: {text}"),
    ),
    Rule(
        name="notes listed",
        when=When(response_of="list_notes"),
        reply=Reply(text="You have {count} notes: {titles}"),
    ),
    Rule(
        name="note recalled",
        when=When(response_of="recall", response_has=["found"]),
        reply=Reply(text="You said: {found}"),
    ),
    *(
        Rule(
            name="note error",
            when=When(response_of=tool, response_has=["error"]),
            reply=Reply(text="Sorry, {error}."),
        )
        for tool in ("keep_note", "read_note", "recall", "send_note")
    ),
    Rule(
        name="note keep and send",
        when=When(
            tool="send_note", text=f"{_KEEP} [Aa]nd send it to (?P<to>\\w+)", after_response=False
        ),
        reply=Reply(
            calls=[
                Call(name="keep_note", args={"title": "{title}", "text": "{text}"}),
                Call(name="send_note", args={"title": "{title}", "to": "{to}"}),
            ]
        ),
    ),
    Rule(
        name="note keep",
        when=When(tool="keep_note", text=f"{_KEEP}$", after_response=False),
        reply=Reply(calls=[Call(name="keep_note", args={"title": "{title}", "text": "{text}"})]),
    ),
    Rule(
        name="note read",
        when=When(tool="read_note", text=rf"[Rr]ead (?:the )?note {_NOTE}", after_response=False),
        reply=Reply(calls=[Call(name="read_note", args={"title": "{title}"})]),
    ),
    Rule(
        name="note recall",
        when=When(tool="recall", text=r"did I say about (?P<about>[\w ]+)", after_response=False),
        reply=Reply(calls=[Call(name="recall", args={"about": "{about}"})]),
    ),
    Rule(
        name="notes list",
        when=When(tool="list_notes", after_response=False),
        reply=Reply(calls=[Call(name="list_notes")]),
    ),
]

FALLBACK = Rule(
    name="fallback",
    reply=Reply(text="I am a scripted model, and I have no answer in my script for this."),
)


def default_script() -> list[Rule]:
    """Returns the rules for the shipped agents, and one that fits everything else."""
    return [*_SUPPORT, *_WEATHER, *_CLAIMS, *_RESEARCH, *_FACT_CHECKS, *_NOTES, FALLBACK]
