"""smsq in web frameworks."""
