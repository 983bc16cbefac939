"""What the parts of the module need of each other; each is injected, so that each is tested alone.

The panel needs `LogicProtocol.Logic`. The logic needs a client (HTTP), a runner (work off the main thread), settings
and a function that asks the user.
"""
