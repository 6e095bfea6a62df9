"""Who calls, by what a request shows: API keys, passwords, tokens; checked, and taken out."""
