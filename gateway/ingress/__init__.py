"""The relay that every request passes, at the edge and at a worker's door alike.

It reaches placement's words only; who wakes and who hosts stands behind the Protocols in `seams`.
"""
