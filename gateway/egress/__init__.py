"""Egress: what actors send out. It knows who speaks, decides whether they may, and puts in the
credentials that they never hold. Its configuration is agentgateway's language (docs/egress.md).
"""
