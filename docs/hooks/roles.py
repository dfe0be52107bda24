"""Hook of the documentation: Sphinx roles in docstrings become links where the target has a page."""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r":(?:class|func|meth|attr|mod|data|exc):<code>(~?)([\w.]+)</code>")


def _link(match: re.Match[str]) -> str:
    short, target = match.groups()
    text = target.rsplit(".", 1)[-1] if short else target.lstrip(".")
    # Optional: a name without a page of its own stays plain text instead of failing the build.
    return f'<autoref optional identifier="{target.lstrip(".")}"><code>{text}</code></autoref>'


def on_page_content(html: str, **_: Any) -> str:
    """Replace roles in a rendered page, before cross-references are resolved."""
    return _ROLE.sub(_link, html)
