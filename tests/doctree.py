"""A documentation tree that nobody here wrote, for tests that crawl real pages.

Pages made for a test have only the faults that its author thought of. Debian packages whole documentation trees, and
apt brings them signed, to any machine that has it.
"""

import difflib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Final, Self

import pytest
from aiohttp import web

from demo.serving import LoopbackServer

PACKAGE: Final = "python-django-doc"
"""Under 5 MB, more than 500 pages from a paragraph to a small book, and of the same name in every release."""
LARGE: Final = "python3.11-doc"
"""Python's own, as Debian 12 has it: 530 pages of 96 kB on average, the largest of 2.6 MB with 14,000 links."""

# Listings of source code and generated tables of links: no article that an extraction could be compared with.
_NO_ARTICLES: Final = re.compile(r"_modules/|(genindex|py-modindex|search|contents)\.html$")

_APT_SECONDS: Final = 90


class DocTreeUnavailableError(Exception):
    """The tree cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class DocTree:
    """An unpacked documentation package."""

    root: Path
    pages: tuple[str, ...]
    """Paths of the pages below the root, sorted."""

    @classmethod
    def at(cls, root: Path) -> Self:
        """List the articles below a folder."""
        paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.html"))
        return cls(root, tuple(path for path in paths if not _NO_ARTICLES.search(path)))

    def html(self, page: str) -> str:
        """Return the source of a page."""
        return (self.root / page).read_text(encoding="utf-8")


def cache() -> Path:
    """Return the per-user folder that packages are kept in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "crawl-operator" / "doctree"


def require(package: str = PACKAGE) -> DocTree:
    """Return the tree; where it cannot be had, skip the test with the reason, or fail it if this is CI."""
    try:
        return fetch(cache(), package)
    except DocTreeUnavailableError as error:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"CI must have the documentation tree: {error}")
        pytest.skip(f"no documentation tree: {error}")


def fetch(folder: Path, package: str = PACKAGE) -> DocTree:
    """Return the tree kept in a folder; the first time, bring it there with apt, which checks its signature.

    Raises:
        DocTreeUnavailableError: apt is not there, or does not get the package.
    """
    html = f"usr/share/doc/{package}/html"
    kept = sorted(folder.glob(f"{package}_*"), key=lambda path: path.stat().st_mtime)
    if kept:
        return DocTree.at(kept[-1] / html)
    missing = [program for program in ("apt-get", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        raise DocTreeUnavailableError(f"{' and '.join(missing)} not on PATH: it needs a Debian-like machine")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
        archive = _download(Path(scratch), package)
        unpacked = Path(scratch) / "unpacked"
        _run(["dpkg-deb", "-x", archive, unpacked])
        tree = DocTree.at(unpacked / html)
        if not tree.pages:
            raise DocTreeUnavailableError(f"{archive.name} has no pages in {html}")
        version = _run(["dpkg-deb", "-f", archive, "Version"]).strip()
        target = folder / f"{package}_{version.replace(':', '-')}"
        try:
            unpacked.rename(target)  # whole or not at all, whoever else is doing the same
        except OSError as error:
            if not target.is_dir():
                raise DocTreeUnavailableError(f"cannot keep {target}: {error.strerror}") from error
    return DocTree.at(target / html)


def _download(folder: Path, package: str) -> Path:
    """Download with the machine's package lists, or, where those are missing or stale, with fresh ones of our own."""
    # Run as root, apt would otherwise hand the download to a user who may not write here.
    options = ["-o", "APT::Sandbox::User=root"]
    try:
        _run(["apt-get", *options, "download", package], folder)
    except DocTreeUnavailableError:
        lists, caches = folder / "lists", folder / "cache"
        (lists / "partial").mkdir(parents=True)
        (caches / "archives" / "partial").mkdir(parents=True)
        options += ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={caches}"]
        _run(["apt-get", *options, "update"], folder)
        _run(["apt-get", *options, "download", package], folder)
    return next(folder.glob("*.deb"))


def _run(command: Sequence[str | Path], folder: Path | None = None) -> str:
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_APT_SECONDS, env=_environment()
        )
    except subprocess.TimeoutExpired as error:
        raise DocTreeUnavailableError(f"{command[0]} took longer than {_APT_SECONDS} s") from error
    if result.returncode:
        said = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise DocTreeUnavailableError(f"{command[0]}: {said[-1]}")
    return result.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


class DocTreeServer(LoopbackServer):
    """Serves a folder of files on loopback, and nothing that is not below it."""

    def __init__(self, root: Path, *, port: int = 0) -> None:
        super().__init__(self._answer, port=port)
        self._files: Final = {f"/{path.relative_to(root).as_posix()}": path for path in root.rglob("*")}

    def url(self, page: str) -> str:
        """Return the URL of a page of the tree."""
        return f"{self.base_url}/{page}"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        file = self._files.get(f"{path}index.html" if path.endswith("/") else path)
        if file is None or not file.is_file():
            return web.Response(status=404, text=f"404 {path}\n")
        return web.FileResponse(file)


_WORD: Final = re.compile(r"\w+")
_INLINE: Final = frozenset(
    {
        "a",
        "abbr",
        "b",
        "cite",
        "code",
        "em",
        "i",
        "kbd",
        "q",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "tt",
        "var",
    }
)
_SILENT: Final = frozenset({"script", "style", "template", "noscript"})


class _Article(HTMLParser):
    """Collects the text of a page's main element: what its author marked as such, by any of the usual ways."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._tag = ""
        self._depth = 0
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._depth:
            self._depth += tag == self._tag
        elif _is_main(tag, dict(attrs)):
            self._tag, self._depth = tag, 1
        self._silent += tag in _SILENT
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._depth and tag == self._tag:
            self._depth -= 1
        if self._silent and tag in _SILENT:
            self._silent -= 1
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if self._depth and not self._silent:
            self.text += data

    def _separate(self, tag: str) -> None:
        if tag not in _INLINE:
            self.text += " "


def _is_main(tag: str, attributes: dict[str, str | None]) -> bool:
    classes = (attributes.get("class") or "").split()
    return tag in {"main", "article", "section"} or attributes.get("role") == "main" or "section" in classes


def words(html: str) -> list[str]:
    """Return the words of a page's article, in order, without case.

    This is the independent extraction: it shares no code with the worker's, and relies on the tree's markup, where
    the worker has to guess.
    """
    article = _Article()
    article.feed(html)
    article.close()
    return plain_words(article.text)


def plain_words(text: str) -> list[str]:
    """Return the words of a text, as `words` counts them."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Similarity:
    """How well an extracted text fits an article; both shares are 0 to 1."""

    precision: float
    """Share of the extracted words that stand in the article, in the same order. 1 if nothing was extracted."""
    recall: float
    """Share of the article's words that were extracted, in the same order. 1 if there were none."""


def similarity(extracted: str, html: str) -> Similarity:
    """Compare a text that someone extracted from a page with the page's article."""
    got, expected = plain_words(extracted), words(html)
    blocks = difflib.SequenceMatcher(None, got, expected).get_matching_blocks()
    common = sum(block.size for block in blocks)
    return Similarity(
        precision=common / len(got) if got else 1.0,
        recall=common / len(expected) if expected else 1.0,
    )
