"""What cries wolf: false and missed events under rain, wind, shadows, lights, shake and compression.

``python run_stream.py bench nuisance``; scenes with truth, and classical rivals under the same rules.
"""
