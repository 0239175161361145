"""What is counted: statistics of each worker, and the ledger that gives every frame one fate.

Plain Python on ``base``.
"""
