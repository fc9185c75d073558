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

FALLBACK = Rule(
    name="fallback",
    reply=Reply(text="I am a scripted model, and I have no answer in my script for this."),
)


def default_script() -> list[Rule]:
    """Returns the rules for the shipped agents, and one that fits everything else."""
    return [*_WEATHER, *_CLAIMS, FALLBACK]
