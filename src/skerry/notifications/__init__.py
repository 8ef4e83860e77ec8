"""Notifications: what happened, told to whoever subscribed to it, at least once, in order, for as long as it takes."""
