"""Statistics of workers, and the ledger that assigns one fate to every frame.

Plain Python; imports only ``base``.
"""
