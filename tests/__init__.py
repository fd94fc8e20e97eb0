"""Tests, by behaviour: real Redis-protocol server, real worker processes, real HTTP."""
