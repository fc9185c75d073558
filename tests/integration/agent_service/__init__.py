"""The agent service against a real Restate server and the real google-genai client."""
