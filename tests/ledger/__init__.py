"""The ledger: its scripts as a state machine, rule by rule, on a real server; and the connections that run them."""
