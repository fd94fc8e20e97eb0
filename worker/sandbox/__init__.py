"""A gateway to test against: it speaks Mobizon's API, keeps its rules, and misbehaves on demand.

``python -m worker.sandbox --port N`` starts it. It is the judge of the product, so it shares no code with it: every
rule here is written from the API's contract a second time, and an import-linter contract keeps it that way.

A request goes through these modules, in this order::

    server      HTTP: one page for the API, some of the sandbox's own
    form        what was sent, and whether it was URL-encoded
    api         key, module, method; then one function a method
    rules       sendSmsMessage's parameters             queries   the lists' parameters
    behaviours  the recipients that bring a misbehaviour on, with garbage and wire for what they answer
    book        what was accepted, on a clock that can be moved

``control`` has the sandbox's own pages, under ``/sandbox/``.
"""
