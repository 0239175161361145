"""False and missed events under rain, wind, shadows, changing light, shake and compression.

``python run_stream.py bench nuisance``: scenes with ground truth, compared with classical detectors under the
same rules.
"""
