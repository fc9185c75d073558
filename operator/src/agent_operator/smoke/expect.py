"""Whether an answer is as it should be. Pure."""

import json
import re
from typing import Any

from agent_operator.api.gates import Expectation


def problem(expected: Expectation | None, answer: Any) -> str | None:
    """What is wrong with an answer, in words that don't repeat it; ``None``: nothing."""
    if expected is None:
        return None
    if expected.subset is not None:
        return _not_in(expected.subset, answer, "the answer")
    if expected.pattern is not None:
        return _unlike(expected.pattern, answer)
    return _untrue(expected.cel or "", answer)


def _not_in(wanted: Any, found: Any, where: str) -> str | None:
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return f"{where} is no object"
        for key, value in wanted.items():
            path = f"{where}.{key}".removeprefix("the answer.")
            if key not in found:
                return f"{path} is missing from the answer"
            if wrong := _not_in(value, found[key], path):
                return wrong
        return None
    # 1 and true are equal in Python, and not in JSON.
    if isinstance(wanted, bool) is not isinstance(found, bool) or wanted != found:
        return f"{where} is not {json.dumps(wanted, ensure_ascii=False)}"
    return None


def _unlike(pattern: str, answer: Any) -> str | None:
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    try:
        found = re.search(pattern, text)
    except re.error as error:
        return f"expect.pattern {pattern!r} is no regular expression: {error}"
    return None if found else f"nothing in the answer fits the pattern {pattern!r}"


def _untrue(expression: str, answer: Any) -> str | None:
    # Imported late: 14 MB that only a CEL expectation needs.
    from cel_expr_python import cel

    try:
        compiled = cel.NewEnv(variables={"answer": cel.Type.DYN}).compile(expression)
        result = compiled.eval(data={"answer": answer})
    except RuntimeError as error:
        return f"expect.cel is no CEL expression: {' '.join(str(error).split())}"
    if result.type() == cel.Type.ERROR:
        return f"expect.cel can't be told of this answer: {result.value()}"
    if result.type() != cel.Type.BOOL:
        return "expect.cel is neither true nor false of the answer"
    return None if result.value() else f"it is not true of the answer that {expression}"
