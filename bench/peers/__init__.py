"""The same job in each library's own idiom: take it off Redis, POST it to the gateway, store the ids.

Each module has `enqueue`, plain or a coroutine, and may have `start` and `stop` for its connections. They run in the
environments of `bench.environments`, so they import nothing of ours but each other; smsq's runs in the checkout's.
"""
