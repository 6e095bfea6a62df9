"""LLM requests as their providers want them: which kind it is, its path, its body, its model."""
