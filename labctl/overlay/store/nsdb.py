"""The state database: documents in ZooKeeper, written in transactions.

Under one root::

    head              {"revision", "next_key", "log": [[revision, transaction, [document, ...]], ...]}
    documents/<name>  the items of one tenant, or the common ones (labctl.overlay.config.codec)
    alive/<host>      ephemeral: there while that host's agent has a session

Every transaction replaces ``head`` on condition that it is the one that was read. So writers take
turns, the rules hold for the whole although each of them was checked against what one writer had
read, and a reader that watches ``head`` alone knows of everything, and from its log which
documents to read again. A transaction whose answer is lost with the connection is looked for in
the log by its name, so it is never done twice.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kazoo.exceptions import (
    BadVersionError,
    ConnectionLoss,
    KazooException,
    NodeExistsError,
    NoNodeError,
    OperationTimeoutError,
    SessionExpiredError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import RetryFailedError

from labctl.errors import ActionError, InputError, Problem
from labctl.overlay.config.codec import dump, load
from labctl.overlay.config.state import Edit, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kazoo.client import KazooClient

    from labctl.overlay.config.model import Item

__all__ = ["LOG_LENGTH", "ROOT", "Database", "Head", "alive_path", "document_path", "head_path", "read_many"]

ROOT = "/labctl/overlay"
LOG_LENGTH = 256
_MAX_BYTES = 900_000
"""ZooKeeper takes 1 MiB in one request; one transaction must fit."""
_LOST = (ConnectionLoss, OperationTimeoutError, SessionExpiredError)

_Result = TypeVar("_Result")


def head_path(root: str) -> str:
    """Where the head stands."""
    return f"{root}/head"


def document_path(root: str, name: str = "") -> str:
    """Where a document stands; without a name: their folder."""
    return f"{root}/documents/{name}".rstrip("/")


def alive_path(root: str, host: str = "") -> str:
    """Where a host's sign of life stands; without a name: their folder."""
    return f"{root}/alive/{host}".rstrip("/")


@dataclass(frozen=True, slots=True)
class Head:
    """What ``head`` says.

    Attributes:
        revision: of the last transaction.
        next_key: the lowest key that no port ever had.
        log: the last transactions: revision, name, documents; the newest last.
    """

    revision: int
    next_key: int
    log: tuple[tuple[int, str, tuple[str, ...]], ...]

    @classmethod
    def parse(cls, raw: bytes) -> Head:
        """Read what :meth:`dump` wrote."""
        plain = json.loads(raw)
        log = tuple((revision, name, tuple(docs)) for revision, name, docs in plain["log"])
        return cls(plain["revision"], plain["next_key"], log)

    def dump(self) -> bytes:
        """As JSON."""
        plain = {"revision": self.revision, "next_key": self.next_key, "log": self.log}
        return json.dumps(plain, separators=(",", ":")).encode()

    def changed_since(self, revision: int) -> frozenset[str] | None:
        """Documents changed after a revision; None when the log does not reach back so far."""
        if revision == self.revision:
            return frozenset()
        if revision > self.revision or not self.log or self.log[0][0] > revision + 1:
            return None
        return frozenset(name for number, _, docs in self.log if number > revision for name in docs)

    def has(self, transaction: str) -> bool:
        """Whether a transaction of that name is in the log."""
        return any(name == transaction for _, name, _ in self.log)


@dataclass(frozen=True, slots=True)
class _Read:
    """What one writer has read, with the versions to insist on."""

    state: State
    head: Head
    head_version: int
    raw: Mapping[str, bytes]

    def dump(self, name: str, items: tuple[Item, ...]) -> bytes:
        """A document; as it was read where it holds the very same items."""
        old = self.state.documents.get(name, ())
        if set(map(id, old)) == set(map(id, items)):
            return self.raw[name]
        return dump(items)


def read_many(client: KazooClient, paths: Iterable[str]) -> dict[str, bytes]:
    """Read many nodes at once, without waiting for one before asking for the next.

    Those that are not there are left out.
    """
    asked = [(path, client.get_async(path)) for path in paths]
    found: dict[str, bytes] = {}
    for path, answer in asked:
        try:
            found[path] = answer.get()[0]
        except NoNodeError:
            continue
    return found


class Database:
    """Reads and writes of one client. The client is the caller's: started, and stopped, there."""

    def __init__(self, client: KazooClient, root: str = ROOT) -> None:
        self._client = client
        self._root = root

    def state(self) -> State:
        """Everything, as it is now.

        Raises:
            ActionError: the database cannot be reached.
        """
        return self._patiently(lambda: self._read().state)

    def alive(self) -> tuple[str, ...]:
        """Names of the hosts whose agents have a session, in order."""
        try:
            return tuple(sorted(self._patiently(lambda: self._client.get_children(alive_path(self._root)))))
        except NoNodeError:
            return ()

    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self._patiently(lambda: self._client.exists(head_path(self._root)) is not None)

    def change(self, edit: Callable[[Edit], _Result], *, attempts: int = 20) -> _Result:
        """Change everything in one transaction.

        Args:
            edit: makes the change on an :class:`~labctl.overlay.config.state.Edit`; is called anew for
                every attempt, so it must not remember anything of the last one.
            attempts: how often another writer may come first.

        Returns:
            What ``edit`` returned the last time.

        Raises:
            InputError: the change breaks a rule; nothing was written.
            ActionError: the database cannot be reached, or others always came first.
        """
        for attempt in range(attempts):
            read = self._patiently(self._read)
            draft = Edit(read.state)
            result = edit(draft)
            documents = {name: read.dump(name, items) for name, items in draft.checked().items()}
            if self._commit(read, documents, draft.next_key):
                return result
            time.sleep(0.01 * attempt)
        raise ActionError(f"the state database was changed by others {attempts} times in a row")

    def _read(self) -> _Read:
        """Head and documents of one moment: nothing was written between the first read and the last."""
        while True:
            try:
                raw_head, stat = self._client.get(head_path(self._root))
            except NoNodeError:
                return _Read(State(), Head(0, 1, ()), -1, {})
            folder = document_path(self._root)
            names = self._client.get_children(folder)
            found = read_many(self._client, [f"{folder}/{name}" for name in names])
            again = self._client.exists(head_path(self._root))
            if again is not None and again.version == stat.version:
                break
        raw = {path.rsplit("/", 1)[1]: data for path, data in found.items()}
        head = Head.parse(raw_head)
        documents = {name: load(data) for name, data in raw.items()}
        return _Read(State(head.revision, head.next_key, documents), head, stat.version, raw)

    def _commit(self, read: _Read, documents: Mapping[str, bytes], next_key: int) -> bool:
        """Write what differs; False when another writer came first."""
        changed = [
            name for name in documents.keys() | read.raw.keys() if documents.get(name) != read.raw.get(name)
        ]
        if not changed and next_key == read.head.next_key and read.head_version >= 0:
            return True
        name, revision = uuid.uuid4().hex, read.head.revision + 1
        log = (*read.head.log, (revision, name, tuple(sorted(changed))))[-LOG_LENGTH:]
        head = Head(revision, next_key, log)
        size = sum(len(documents.get(one, b"")) for one in changed)
        if size > _MAX_BYTES:
            raise InputError(
                [Problem("overlay", 0, 0, f"one change is at most {_MAX_BYTES} bytes, not {size}")]
            )
        if read.head_version < 0:
            self._patiently(self._make_folders)
        return self._send(read, head, {one: documents.get(one) for one in changed}, name)

    def _send(self, read: _Read, head: Head, changed: Mapping[str, bytes | None], name: str) -> bool:
        for _ in range(5):
            try:
                results = self._transaction(read, head, changed).commit()
            except _LOST:
                # It may have been done: the log knows.
                now = self._patiently(self._read)
                if now.head.has(name):
                    return True
                if now.head_version != read.head_version:
                    return False
                continue
            if not any(isinstance(result, Exception) for result in results):
                return True
            if any(isinstance(result, BadVersionError | NodeExistsError | NoNodeError) for result in results):
                return False
            raise ActionError(f"the state database refused the transaction: {results}")
        raise ActionError("the connection to the state database was lost while writing")

    def _transaction(self, read: _Read, head: Head, changed: Mapping[str, bytes | None]) -> Any:  # noqa: ANN401
        transaction = self._client.transaction()
        path = head_path(self._root)
        if read.head_version < 0:
            transaction.create(path, head.dump())
        else:
            transaction.set_data(path, head.dump(), version=read.head_version)
        for name, data in changed.items():
            path = document_path(self._root, name)
            if data is None:
                transaction.delete(path)
            elif name in read.raw:
                transaction.set_data(path, data)
            else:
                transaction.create(path, data)
        return transaction

    def _make_folders(self) -> None:
        self._client.ensure_path(document_path(self._root))
        self._client.ensure_path(alive_path(self._root))

    def _patiently(self, action: Callable[[], _Result]) -> _Result:
        """Do it again while the connection is lost, as long as the client's own patience lasts."""
        try:
            return self._client.retry(action)  # type: ignore[no-any-return]
        except NoNodeError:
            raise
        except (*_LOST, KazooTimeoutError, RetryFailedError) as error:
            raise ActionError("the state database does not answer") from error
        except KazooException as error:
            raise ActionError(f"the state database: {type(error).__name__} {error}") from error
