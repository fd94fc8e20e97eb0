"""The sandbox gateway as a process: what it answers, what it refuses, and every way in which it misbehaves."""
