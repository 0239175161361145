"""A fleet in virtual time: the table that decides who owns which stream, beside simple rivals."""
