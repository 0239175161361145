"""MkDocs hook: adds pages of the repository's top folder to the site and rewrites links that leave ``docs``.

On GitHub, these links work unchanged. The site includes the pages in ``_TOP_PAGES``; other files, such as
code, are not part of it, so links to them become plain text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<target>[^)\s#:]*)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the top folder to the site."""
    top = Path(config.docs_dir).parent
    for source, page in _TOP_PAGES.items():
        if page != "index.md":
            text = _relinked((top / source).read_text(), "", config)
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links that leave ``docs`` into links within the site, or into plain text."""
    if page.file.src_uri in _TOP_PAGES.values() and page.file.src_uri != "index.md":
        return markdown
    return _relinked(markdown, posixpath.join("docs", posixpath.dirname(page.file.src_uri)), config)


def _relinked(markdown: str, folder: str, config: MkDocsConfig) -> str:
    """Rewrites the links of a page in ``folder`` of the repository."""
    here = posixpath.relpath(folder or ".", "docs") if folder else "."

    def relink(match: re.Match[str]) -> str:
        target = match["target"]
        if not target:
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith("docs/"):
            page = path.removeprefix("docs/")
        elif path in _TOP_PAGES:
            page = _TOP_PAGES[path]
        else:
            if not (Path(config.docs_dir).parent / path).exists():
                raise PluginError(f"{folder or 'the top folder'}: broken link: {target} does not exist")
            return match["text"]
        return f"[{match['text']}]({posixpath.relpath(page, here)}{match['anchor'] or ''})"

    return _LINK.sub(relink, markdown)
