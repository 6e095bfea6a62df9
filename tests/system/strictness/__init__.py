"""Differential tests: rouse, nginx and HAProxy, each in front of the same server, which reads by
h11 and keeps what it read. The corpus is tests/gateway/ingress/corpus; the relay stands alone
here, with an usher that always knows the way, since only its reading of bytes is judged."""
