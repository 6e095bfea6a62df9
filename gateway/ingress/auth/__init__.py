"""Who may come in: decided from a request's head alone, before any actor is looked up or woken.

What verifies a credential knows nothing of requests; `gatekeeper` is the one place that joins both.
"""
