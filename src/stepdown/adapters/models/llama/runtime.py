"""llama.cpp's server inside this process: load a file, render prompts, ask for tokens.

It does not know tasks, labels or schemas. The server cannot be built without a listening socket,
so it gets a Unix socket in a directory that only this user may enter (a loopback port where there
are none), and a random key. Generation goes through direct calls, not through the socket.
"""

from __future__ import annotations

import http.client
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.models.llama.asking import Prompt
from stepdown.adapters.models.llama.settings import LlamaSettings
from stepdown.errors import ModelError, Unavailable, WeightsError

SILENT = -1  # below every level that llama.cpp logs at
SOCKET_PATH_BYTES = 100  # a Unix socket's path may have 103 to 107, by platform
ASK_TIMEOUT_S = 30.0  # tokenizing and rendering take milliseconds
BRACKETS = re.compile(r"[<\[]")  # control tokens of known vocabularies hold one of them

Event = Mapping[str, Any]


class Runtime:
    """A loaded model. Calls block; one thread at a time."""

    def __init__(self, path: Path, settings: LlamaSettings, adapter: Path | None = None) -> None:
        """Load the file, and beside it the adapter that was trained on it.

        Raises:
            WeightsError: no such file, not a GGUF file, or one that llama.cpp cannot load.
        """
        for file in (path, adapter) if adapter else (path,):
            check_gguf(file)
        self._path, self._adapter = path, adapter
        self._settings = settings
        self._key = secrets.token_urlsafe(32)
        self._home = Path(tempfile.mkdtemp(prefix="stepdown-"))
        self._tokens: dict[str, tuple[int, ...]] = {}
        self._has_run = False
        try:
            self._server = self._start()
            self._end = self._tokenize(self._get("GET", "/props")["eos_token"], special=True)
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise

    @property
    def end(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        return self._end

    def close(self) -> None:
        """Stop the server, free the memory, remove the socket.

        llama.cpp never ends when it is told to before its loop has begun, as on a busy machine; an
        answer shows that it has.
        """
        if self._server is not None and not self._has_run:
            with suppress(ModelError):
                self._call({"prompt": "a", "max_tokens": 1}, None)
        self._server = None
        shutil.rmtree(self._home, ignore_errors=True)

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a short text; kept, because labels come again."""
        if text not in self._tokens:
            self._tokens[text] = self._tokenize(text, special=False)
        return self._tokens[text]

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> Prompt:
        """Return the prompt that the model's own chat template makes of the messages.

        A message that spells a control token (the end of its turn, say) is handed over as plain
        tokens, so that a customer cannot speak as the system.
        """
        unsafe = [said["content"] for said in messages if self._spells_control(said["content"])]
        marks = {secrets.token_hex(16): content for content in unsafe}
        text = self._render(messages, {content: mark for mark, content in marks.items()})
        pieces = re.split("|".join(marks), text) if marks else [text]
        order = re.findall("|".join(marks), text) if marks else []
        prompt: list[str | int] = [pieces[0]]
        for mark, piece in zip(order, pieces[1:], strict=True):
            prompt += [*self._tokenize(marks[mark], special=False), piece]
        return tuple(prompt)

    def prompt_tokens(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens that the server makes of a prompt.

        It may put a token of its own before the first piece of text, and before no other.
        """
        found: list[int] = []
        for at, piece in enumerate(prompt):
            if isinstance(piece, int):
                found.append(piece)
            else:
                found += self._tokenize(piece, special=True, begins=at == 0)
        return tuple(found)

    def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to one completion request."""
        return _checked(self._call({**self._common(), **body}, None))

    def ask_in_pieces(self, body: Mapping[str, Any], receive: Callable[[Event], bool]) -> None:
        """Hand each event to `receive` until the answer ends or `receive` returns True."""
        failed: list[BaseException] = []

        def pass_on(event: Event) -> bool:
            try:  # the binding drops exceptions of callbacks
                return receive(_checked(event))
            except BaseException as error:  # noqa: BLE001 - raised again below
                failed.append(error)
                return True

        options = {"stream": True, "stream_options": {"include_usage": True}}
        self._call({**self._common(), **options, **body}, pass_on)
        if failed:
            raise failed[0]

    def _call(self, body: dict[str, Any], receive: Callable[[Event], bool] | None) -> Any:
        if self._server is None:
            raise Unavailable("The embedded model was closed.", "Open it again.")
        try:
            given = (body,) if receive is None else (body, receive)
            found = self._server.handle_completions(*given)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"llama.cpp refused the request: {error}.") from error
        self._has_run = True
        return found

    def _common(self) -> dict[str, Any]:
        return {"cache_prompt": not self._settings.pinned}

    def _start(self) -> Any:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        if self._adapter is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(self._adapter), 1.0)]
        _set_sizes(params, self._settings)
        self._set_address(params)
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise WeightsError(
                f"llama.cpp cannot load {self._path.name!r}.",
                "The file may be damaged, of an unknown architecture, or too large for the memory: "
                "pull it again, or choose a smaller model.",
            ) from error

    def _set_address(self, params: Any) -> None:
        self._socket = self._home / "s.sock"
        short = len(str(self._socket).encode()) <= SOCKET_PATH_BYTES
        self._is_unix = hasattr(socket, "AF_UNIX") and short
        params.hostnames = [str(self._socket) if self._is_unix else "127.0.0.1"]
        params.port = 0
        params.api_keys = [self._key]
        params.ui = False
        params.endpoint_slots = False

    def _get(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = self._connect()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            sent = msgspec.json.encode(body) if body is not None else None
            connection.request(method, path, sent, headers)
            return _checked(msgspec.json.decode(connection.getresponse().read()))
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise ModelError(f"llama.cpp did not answer {path}: {error}.") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._is_unix:
            return _UnixConnection(self._socket)
        address = self._server.listening_address.rpartition("/")[2]
        return http.client.HTTPConnection(address, timeout=ASK_TIMEOUT_S)

    def _render(self, messages: Sequence[Mapping[str, str]], marks: Mapping[str, str]) -> str:
        said = [
            {"role": message["role"], "content": marks.get(message["content"], message["content"])}
            for message in messages
        ]
        return str(self._get("POST", "/apply-template", {"messages": said})["prompt"])

    def _spells_control(self, text: str) -> bool:
        if not BRACKETS.search(text):
            return False
        return self._tokenize(text, special=True) != self._tokenize(text, special=False)

    def _tokenize(self, text: str, *, special: bool, begins: bool = False) -> tuple[int, ...]:
        body = {"content": text, "parse_special": special, "add_special": begins}
        found = self._get("POST", "/tokenize", body)
        return tuple(found["tokens"])


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ASK_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ASK_TIMEOUT_S)
        self.sock.connect(str(self._path))


def check_gguf(path: Path) -> None:
    """Refuse what is not a GGUF file before llama.cpp sees it.

    Raises:
        WeightsError: no such file, or not a GGUF file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise WeightsError(
            f"The model file {str(path)!r} cannot be read: {error.strerror}.",
            "Run `stepdown models pull`, or correct the path in stepdown.toml.",
        ) from error
    if start != b"GGUF":
        raise WeightsError(
            f"{str(path)!r} is not a GGUF file: it starts with {start!r}.",
            "The embedded tier reads GGUF only; run `stepdown models pull`.",
        )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the file; read once while its time and size stay the same."""
    check_gguf(path)
    status = path.stat()
    return _digest_at(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _digest_at(path: Path, _mtime_ns: int, _size: int) -> str:
    import hashlib

    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _set_sizes(params: Any, settings: LlamaSettings) -> None:
    params.n_ctx = settings.context_tokens
    params.n_parallel = 1
    params.verbosity = SILENT
    params.warmup = False
    params.fit_params = False
    params.cache_ram_mib = 0 if settings.pinned else settings.kept_prompts_mb
    params.cache_prompt = not settings.pinned
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = settings.threads
        cpu.poll = 0  # a waiting thread that spins starves whatever shares the cores


def _checked(answer: Any) -> dict[str, Any]:
    """Return the answer, or raise what its error means."""
    if not isinstance(answer, dict) or "error" not in answer:
        return answer
    error = answer["error"]
    said = error.get("message", error) if isinstance(error, dict) else error
    if isinstance(error, dict) and error.get("type") == "exceed_context_size_error":
        raise Unavailable(
            f"The prompt has {error['n_prompt_tokens']} tokens; the embedded model's context "
            f"holds {error['n_ctx']}.",
            "Shorten the prompt, or raise the tier's context.",
        )
    raise ModelError(f"llama.cpp refused the request: {said}.")
