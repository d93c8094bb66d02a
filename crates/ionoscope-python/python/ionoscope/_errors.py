"""Exceptions."""


class Error(Exception):
    """What ionoscope raises."""


class InputError(Error, ValueError):
    """An input that is wrong: the message names it, what was expected, and what to do."""


class WorkError(Error, RuntimeError):
    """Work with good input that failed: a solve that was given up, a training that diverged, a file that cannot be written."""
