"""The answers that DNS rules of applications give: a real DNS server, fed in milliseconds."""
