"""The command line: one module for each group of commands, assembled in ``app.py``.

Modules here import only typer at the top level. Each command imports what it needs when it is called, so that
``--help`` and user errors are fast and no command loads the libraries of another.
"""
