"""Statistics of workers, and the ledger that gives every frame one fate.

Plain Python; imports only ``base``.
"""
