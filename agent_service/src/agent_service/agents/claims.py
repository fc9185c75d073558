"""ClaimAgent: pays small expense claims at once, and asks a person about the others.

CLAIM_LIMIT is the highest amount paid without asking (default 100); CLAIM_APPROVERS are the names
of those who may answer, by commas (default: anybody); CLAIM_DEADLINE_HOURS is how long they have
before a claim is refused (default 72). The payment is a stand-in for a real one, but made as a real
one must be: in a journaled step, with a reference that is the same on every try, so that the bank
would pay it once.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from google.adk.agents import Agent

from agent_service import approval, restate_object_context
from agent_service.agents import model_name
from agent_service.errors import ConfigurationError

CENT = Decimal("0.01")
LARGEST = Decimal(1_000_000)


def auto_limit() -> Decimal:
    """Returns the highest amount that is paid without asking.

    Raises:
        ConfigurationError: CLAIM_LIMIT is not an amount.
    """
    text = os.environ.get("CLAIM_LIMIT", "").strip() or "100"
    limit = parse_amount(text)
    if limit is None and text.strip("0.") != "":
        raise ConfigurationError(f"CLAIM_LIMIT must be an amount of money, and is {text!r}")
    return limit or Decimal(0)


def parse_amount(given: object) -> Decimal | None:
    """Reads an amount of money as models and people write it: 800, "800.00", "1,250.50".

    Returns:
        The amount, rounded to cents, or None if it is no amount above 0 and up to a million.
    """
    text = str(given).strip().replace(" ", "")
    whole, dot, cents = text.rpartition(".")
    try:
        amount = Decimal(f"{whole.replace(',', '')}{dot}{cents}" if dot else text.replace(",", ""))
        amount = amount.quantize(CENT)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 < amount <= LARGEST else None


def pay(reference: str) -> str:
    """Stands in for the bank: takes a payment order, and knows one that it has seen by its name."""
    return reference


def payment_reference(session: str, claim: str, amount: Decimal) -> str:
    """Names a payment after what is paid, so that paying it again is seen as the same payment."""
    digest = hashlib.sha256(f"{session}\n{claim}\n{amount}".encode()).hexdigest()
    return f"PAY-{digest[:10].upper()}"


def answer_time() -> timedelta:
    """Returns how long people have to decide.

    Raises:
        ConfigurationError: CLAIM_DEADLINE_HOURS is no number above 0.
    """
    text = os.environ.get("CLAIM_DEADLINE_HOURS", "").strip() or "72"
    try:
        span = timedelta(hours=float(text))
    except (ValueError, OverflowError):
        span = timedelta(0)
    if span <= timedelta(0):
        raise ConfigurationError(f"CLAIM_DEADLINE_HOURS must be hours above 0, and is {text!r}")
    return span


def approvers() -> list[str]:
    """Returns the names of those who may decide; none: anybody."""
    names = os.environ.get("CLAIM_APPROVERS", "").split(",")
    return [name.strip() for name in names if name.strip()]


LIMIT = auto_limit()
DEADLINE = answer_time()
APPROVERS = approvers()


async def file_claim(claim: str, amount: float, reason: str = "") -> dict[str, object]:
    """Files an expense claim, and pays it if it may be paid. Waits for a person if it must.

    Args:
        claim: The claim's number, for example C-17.
        amount: The amount in EUR, for example 800.
        reason: What the money was spent on, if the user said so.

    Returns:
        The claim, amount, currency, decision (approved or refused), who decided it, their
        comment, and the payment's reference if it was paid; or an error.
    """
    money = parse_amount(amount)
    if money is None:
        return {"error": f"{amount!r} is not an amount of money between 0 and {LARGEST}"}
    result: dict[str, object] = {"claim": claim, "amount": f"{money:.2f}", "currency": "EUR"}
    approved, by, comment = await _decide(claim, money, reason)
    result |= {"decision": "approved" if approved else "refused", "decided_by": by}
    if comment:
        result["comment"] = comment
    if approved:
        context = restate_object_context()
        reference = payment_reference(context.key(), claim, money)
        result["payment"] = await context.run_typed(f"pay {claim}", pay, reference=reference)
    return result


async def _decide(claim: str, money: Decimal, reason: str) -> tuple[bool, str, str]:
    if money <= LIMIT:
        return True, f"the rule for claims up to {LIMIT:.2f} EUR", ""
    decision = await approval(
        title=f"Claim {claim}: {money:.2f} EUR",
        details=reason or "No reason was given.",
        who=APPROVERS,
        deadline=DEADLINE,
    )
    by = "the deadline" if decision.timed_out else decision.by or "a person"
    return decision.approved, by, decision.comment


agent = Agent(
    name="ClaimAgent",
    model=model_name(),
    description="Files expense claims; asks a person about large ones.",
    instruction=(
        "You handle expense claims. When the user wants money back, call file_claim with the "
        "claim's number, the amount and the reason. Ask for what is missing. Then say in one or "
        "two sentences the claim, the amount with its currency, the decision, who decided it, "
        "the comment if there is one, and the payment's reference if it was paid."
    ),
    tools=[file_claim],
)
