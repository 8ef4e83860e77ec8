"""Who may call: tokens, and the node's own certificates."""
