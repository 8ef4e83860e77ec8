"""The store: SQL lives here only. Documents with revision and indexed columns, the journal and the event log."""
