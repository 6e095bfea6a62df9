"""Who is where, provably: records, the transition table, and the Redis operations that keep it.

Nothing here starts, stops or forwards anything.
"""
