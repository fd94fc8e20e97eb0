"""Web applications that send SMS: small ones, each in its framework's own idiom."""
