"""Put a proposed lock and its report on a git branch, without touching the work tree or the index.

The commit is made of objects alone (`hash-object`, `write-tree` on an index of its own,
`commit-tree`), so what somebody is editing stays as it is.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from stepdown.errors import DataError, InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
LIMIT_S = 60.0


def commit_on_branch(
    root: Path,
    branch: str,
    files: Mapping[str, bytes],
    message: str,
    environment: Mapping[str, str],
) -> str:
    """Commit files (paths from `root`) on a new branch that starts at HEAD; return the commit.

    Raises:
        InputError: the branch's name cannot be one, or it is there already.
        DataError: the folder is no git repository with a commit, or git failed; says how.
    """
    if not NAME.fullmatch(branch) or ".." in branch or branch.endswith((".lock", "/", ".")):
        raise InputError(f"{branch!r} is not a name for a branch.", "For example review/2026-12.")
    git = _Git(root, environment)
    head = git.run("rev-parse", "--verify", "HEAD^{commit}")
    if git.known("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"):
        raise InputError(
            f"The branch {branch!r} is there already.", "Name another, or delete that one."
        )
    inside = git.run("rev-parse", "--show-prefix")
    with tempfile.TemporaryDirectory(prefix="stepdown-review-") as folder:
        own = git.with_index(Path(folder) / "index")
        own.run("read-tree", head)
        for name, data in files.items():
            blob = own.run("hash-object", "-w", "--stdin", data=data)
            own.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{inside}{name}")
        tree = own.run("write-tree")
    commit = git.run("commit-tree", tree, "-p", head, "-F", "-", data=message.encode())
    git.run("update-ref", f"refs/heads/{branch}", commit, "0" * len(commit))
    return commit


class _Git:
    """git in one folder, with an environment of its own."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = environment

    def with_index(self, index: Path) -> _Git:
        return _Git(self._root, {**self._environment, "GIT_INDEX_FILE": str(index)})

    def run(self, *words: str, data: bytes | None = None) -> str:
        done = self._call(words, data)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise DataError(
                f"git {words[0]} failed: {said[-1] if said else 'it said nothing'}.",
                "--branch needs a git repository with a commit, and a name and e-mail for git.",
            )
        return done.stdout.decode().strip()

    def known(self, *words: str) -> bool:
        return self._call(words, None).returncode == 0

    def _call(
        self, words: tuple[str, ...], data: bytes | None
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["git", *words],
                cwd=self._root,
                input=data,
                capture_output=True,
                timeout=LIMIT_S,
                env=dict(self._environment),
                check=False,
            )
        except FileNotFoundError:
            raise DataError("git is not installed.", "Install it, or leave --branch out.") from None
        except subprocess.TimeoutExpired:
            raise DataError(f"git {words[0]} did not end in {LIMIT_S:g} s.") from None
