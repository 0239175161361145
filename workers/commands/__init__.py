"""The command line: one module for each group of commands, assembled in ``app.py``.

Modules here import only typer at the top. Each command loads what it needs when it is called, so that
``--help`` and user errors are answered at once and no command pays for the libraries of another.
"""
