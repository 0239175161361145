"""The tables of the documents, each made from stored results: ``python docs/make_tables.py``."""
