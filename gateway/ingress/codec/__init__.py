"""HTTP/1.1 as bytes: heads scanned by patterns, bodies framed by small machines. No I/O, no clock.

It follows RFC 9112 strictly in what it accepts, since whatever two parsers read differently is a
way to smuggle a request past one of them.
"""
