"""The errors that users see: one line that says what is wrong and what to do about it."""


class DeepixError(Exception):
    """Something that the user can put right; its text is one line, ready to print."""


class InputError(DeepixError):
    """An input file cannot be used; the text begins with the file's name."""


class OutputError(DeepixError):
    """An output cannot be written; the text begins with the file's name."""


def reason(error: object) -> str:
    """Return what another library's error says, on one line of at most 200 characters; its kind if it says nothing."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    text = " ".join(str(said).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
