"""The errors that are meant for the person at the keyboard: one line that says what is wrong and how to mend it."""


class DeepixError(Exception):
    """Something the user can mend; its text is one line, ready to print."""


class InputError(DeepixError):
    """An input file cannot be used; the text begins with the file's name."""


class OutputError(DeepixError):
    """An output cannot be written; the text begins with the file's name."""
