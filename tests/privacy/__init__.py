"""No phone number, text or key where it doesn't belong."""
