"""The examples' own tests, as their authors would have them: with `sms_outbox`, without Redis."""
