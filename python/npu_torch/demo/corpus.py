"""The Python standard library as a text corpus, split by file into train and held-out.

The split depends on a file's path alone, so that it is the same in every run and, as far as the
paths agree, for every version of Python.
"""

from __future__ import annotations

import hashlib
import sysconfig
import tokenize
from dataclasses import dataclass
from pathlib import Path

HELD_OUT_MODULUS = 20
"""One file in this many is held out."""

_EXCLUDED_PARTS = frozenset({"site-packages", "dist-packages", "__pycache__", "lib-dynload"})


@dataclass(frozen=True)
class SourceFile:
    """One file of the corpus."""

    path: str
    """Path relative to the library's root, with forward slashes."""
    text: str
    """The decoded source, with newlines made uniform."""

    @property
    def num_bytes(self) -> int:
        """Length of the text in UTF-8."""
        return len(self.text.encode("utf-8"))

    @property
    def sha256(self) -> str:
        """Digest of the text in UTF-8."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """The two halves of the corpus, each in the order of its paths."""

    train: tuple[SourceFile, ...]
    held_out: tuple[SourceFile, ...]


def stdlib_root() -> Path:
    """Return the directory that holds the running interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def is_held_out(path: str) -> bool:
    """Tell whether the file at this relative path belongs to the held-out part."""
    digest = hashlib.sha256(path.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT_MODULUS == 0


def _is_excluded(relative: Path) -> bool:
    if any(part in _EXCLUDED_PARTS or part.startswith("config-") for part in relative.parts):
        return True
    # Written by the interpreter's own build: it holds that build's paths, not library source.
    return relative.name.startswith("_sysconfigdata")


def load_corpus(root: Path | None = None) -> Corpus:
    """Read and split the standard library.

    Left out are installed packages, build configuration, empty files, and files that do not decode
    in the encoding they declare (test data made to be malformed). A held-out file whose text also
    occurs in the training part is left out too, so that nothing scored was trained on verbatim.
    """
    base = stdlib_root() if root is None else root
    train: list[SourceFile] = []
    held_out: list[SourceFile] = []
    for file in sorted(base.rglob("*.py"), key=lambda p: p.relative_to(base).as_posix()):
        relative = file.relative_to(base)
        if _is_excluded(relative) or not file.is_file():
            continue
        try:
            with tokenize.open(str(file)) as handle:
                text = handle.read()
            text.encode("utf-8")
        except (SyntaxError, UnicodeError, OSError):
            continue
        if not text.strip():
            continue
        source = SourceFile(path=relative.as_posix(), text=text)
        (held_out if is_held_out(source.path) else train).append(source)
    seen = {source.sha256 for source in train}
    unseen = tuple(source for source in held_out if source.sha256 not in seen)
    return Corpus(train=tuple(train), held_out=unseen)
