"""A hook of MkDocs: what pages link to outside docs/ is taken into the site, or named only.

The pages are written to be read in the repository as well, where `../CONTRIBUTING.md` or a
screenshot of Grafana is a relative link. Documents and pictures become part of the site;
of a link to source code its text stays.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(\.\./([^)#]+)(#[^)]*)?\)")
_OWN = re.compile(r"\]\((?:docs/)([^)]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents of the root, and the pictures of the dashboards."""
    pictures = sorted((ROOT / "grafana" / "screenshots").glob("*.png"))
    for path in [*(ROOT / name for name in DOCUMENTS), *pictures]:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            files.append(File.generated(config, name.lower(), content=text))
        else:
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that leave docs/ into links of the site."""

    def link(found: re.Match[str]) -> str:
        picture, text, target, anchor = found.groups()
        if target in DOCUMENTS:
            return f"[{text}]({target.lower()}{anchor or ''})"
        if picture or target.startswith("grafana/screenshots/"):
            return f"{picture}[{text}]({target})"
        return text

    if page.file.src_uri in {name.lower() for name in DOCUMENTS}:
        markdown = _OWN.sub(r"](\1)", markdown)
        markdown = re.sub(r"\]\(CONTRIBUTING\.md", "](contributing.md", markdown)
    return _LINK.sub(link, markdown)
