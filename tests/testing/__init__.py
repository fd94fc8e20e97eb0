"""What the wheel gives to the tests of applications that use smsq."""
