"""Who runs the language model, which decides the variable that its API key comes in."""

from typing import Final, Literal

from agent_operator.api.template import Rule, in_agent_container

Provider = Literal["Gemini", "OpenAI", "Anthropic"]

DEFAULT: Final[Provider] = "Gemini"
KEY_VARIABLES: Final[dict[Provider, str]] = {
    "Gemini": "GOOGLE_API_KEY",
    "OpenAI": "OPENAI_API_KEY",
    "Anthropic": "ANTHROPIC_API_KEY",
}
"""Where the client libraries of each look for the key."""

MODEL_VARIABLE: Final = "AGENT_MODEL"
PROVIDER_VARIABLE: Final = "AGENT_MODEL_PROVIDER"


def key_variable(provider: Provider | None) -> str:
    """The variable that a provider's API key comes in."""
    return KEY_VARIABLES[provider or DEFAULT]


def _given_twice(variable: str, condition: str, field: str) -> Rule:
    in_env = f"(has(self.env) && self.env.exists(e, e.name == '{variable}'))"
    in_template = in_agent_container(
        f"has(c.env) && c.env.exists(e, e.name == '{variable}')",
    )
    return Rule(
        f"!(has(self.model) && {condition} && ({in_env} || ({in_template})))",
        f"{variable} comes from spec.model.{field}; remove it from the container's variables",
    )


def _key_rule(provider: Provider, variable: str) -> Rule:
    chosen = f"self.model.provider == '{provider}'"
    condition = (
        f"(!has(self.model.provider) || {chosen})"
        if provider == DEFAULT
        else f"has(self.model.provider) && {chosen}"
    )
    return _given_twice(variable, f"has(self.model.apiKeySecret) && {condition}", "apiKeySecret")


SPEC_RULES: Final[tuple[Rule, ...]] = (
    *(_key_rule(provider, variable) for provider, variable in KEY_VARIABLES.items()),
    _given_twice(MODEL_VARIABLE, "has(self.model.name)", "name"),
    _given_twice(PROVIDER_VARIABLE, "has(self.model.provider)", "provider"),
)
"""No variable comes both from ``spec.model`` and from the container's own: rules of ``spec``."""
