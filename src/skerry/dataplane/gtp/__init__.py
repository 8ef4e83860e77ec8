"""Tunnels of users, read from the control plane: parsers of its protocols, and the tracker that makes sessions of them."""
