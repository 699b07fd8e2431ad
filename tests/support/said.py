"""What a program said, without what only busy machines hear."""


def said(text: str) -> list[str]:
    """Lines of `text` but for those that tell what is waited for before a verb begins."""
    return [line for line in text.splitlines() if not line.endswith(": getting ready") and line[:8] != "reading "]
