"""Agents: small programs on other machines that run micro network functions for a node.

The agent connects to the node, over TLS, and stays connected: what follows are JSON texts on one WebSocket, `messages` has
them. Functions go on while the connection, the agent or the node is down.
"""
