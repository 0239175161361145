"""False and missed events under rain, wind, shadows, changing light, shake and compression.

``python run_stream.py bench nuisance``; scenes with truth, and classical rivals under the same rules.
"""
