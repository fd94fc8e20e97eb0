"""`make bench`: smsq beside other Python queues on the same job, and the goals that smsq has set itself.

Run from the checkout: ``python -m bench``. Nothing of it is in the wheel.
"""
