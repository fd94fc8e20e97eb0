"""The Mobizon HTTP API: one pooled client, and the tables that say what its answers mean."""
