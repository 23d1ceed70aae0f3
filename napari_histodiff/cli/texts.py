"""Words given on the command line: captions, guides and changes."""

from __future__ import annotations

from typing import Any, Final

import click

__all__ = ["TEXT", "say_unknown_words"]


class _Text(click.types.StringParamType):
    """Words in any letters, also where the console's encoding knows none but English ones."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the letters that were typed; what is no text becomes U+FFFD."""
        try:
            # Python keeps bytes that its locale cannot read as lone surrogates.
            typed = str(value).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # other surrogates, which are no bytes
            typed = str(value).encode("utf-8", "replace")
        return typed.decode("utf-8", "replace")


#: Type of all that is words, never of what names files.
TEXT: Final = _Text()


def say_unknown_words(caption: str, counts: str = "") -> None:
    """Warn of words of a caption that have no effect; `counts` tells how to give numbers."""
    from napari_histodiff.core.captions import parse_caption
    from napari_histodiff.remarks import UnknownCaptionWords

    report = parse_caption(caption).report
    if report.ignored or report.contradictory:
        click.echo(f"Warning: {UnknownCaptionWords(report, counts)}", err=True)
