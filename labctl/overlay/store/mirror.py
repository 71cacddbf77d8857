"""The mirror: one agent's copy of the state database, kept while the database is unreachable.

One watch on ``head`` reports every change; the mirror reads only the documents that changed. The client loses
its watches when it changes servers, so the mirror reads the head again after every new connection, and
periodically. While the database is unreachable the mirror keeps the last topology, and marks it as stale; a
restarted agent starts with a copy on disk.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError

from labctl.overlay.config.codec import load
from labctl.overlay.simulation.topology import Change, VirtualTopology
from labctl.overlay.store.nsdb import ROOT, Head, alive_path, document_path, head_path, read_many
from labctl.overlay.store.session import LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from kazoo.client import KazooClient

    from labctl.overlay.config.model import Item

__all__ = ["Mirror", "Update"]

POLL_S = 5.0
"""A lost watch costs no more than this."""
_PAUSE_S = 0.1
_SAVE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Update:
    """What the mirror emits.

    Attributes:
        topology: as it is now; the same object as before when only ``fresh`` changed.
        tags: of everything that is not as it was in the update before.
        fresh: whether the database is in touch; else the topology is what it was last.
        revision: of the database; 0 while it is empty.
    """

    topology: VirtualTopology
    tags: frozenset[str]
    fresh: bool
    revision: int


class Mirror:
    """Follows the state database in a thread of its own.

    Every change is passed to ``notify``, called from that thread: hand it over, and be quick.
    """

    def __init__(
        self,
        client: KazooClient,
        notify: Callable[[Update], None],
        *,
        host: str = "",
        copy: Path | None = None,
        root: str = ROOT,
    ) -> None:
        """A mirror that is not started.

        Args:
            client: not started; the mirror starts and stops it, and does not close it.
            notify: is called with every update.
            host: whose sign of life to keep up in the database; empty for none.
            copy: file for the copy on disk; None for none.
            root: of the database.
        """
        self._client, self._notify, self._host, self._copy, self._root = client, notify, host, copy, root
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._raw: dict[str, bytes] = {}
        self._items: dict[str, Mapping[tuple[type[Item], str], Item]] = {}
        self._session: object = None
        self._read_once = False
        self._unsaved, self._saved_at = False, 0.0
        self._last = Update(VirtualTopology(), frozenset(), fresh=False, revision=-1)

    @property
    def last(self) -> Update:
        """The last update that was emitted."""
        return self._last

    def start(self) -> None:
        """Begin: with the copy on disk if there is one, then with the database."""
        self._load_copy()
        self._client.add_listener(self._listen)
        self._client.start_async()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the session (the host's sign of life goes with it)."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        self._client.remove_listener(self._listen)
        self._client.stop()
        self._save_copy(at_once=True)

    def _listen(self, _: object) -> None:
        """A new state of the connection; called by the client's own thread."""
        self._wake.set()

    def _watch(self, _: object) -> None:
        """The head changed; called by the client's own thread."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._pause_s())
            self._wake.clear()
            if self._stopping.is_set():
                return
            self._save_copy()
            if not self._client.connected:
                self._emit_stale()
                continue
            try:
                self._announce()
                self._sync()
            except (KazooException, KazooTimeoutError):
                # The connection, or the session, went in the middle of it.
                self._emit_stale()
                self._stopping.wait(_PAUSE_S)
                self._wake.set()
            except (ValueError, KeyError, TypeError) as error:
                # Something there is not as this program writes it. What is known stands until that changes.
                LOG.warning("the state database cannot be read: %s", error)
                self._emit_stale()
            self._save_copy()

    def _pause_s(self) -> float:
        """Until the copy is due, or the head is to be looked at anyway."""
        if self._copy is None or not self._unsaved:
            return POLL_S
        return min(POLL_S, max(0.0, self._saved_at + _SAVE_EVERY_S - time.monotonic()))

    def _emit_stale(self) -> None:
        if self._last.fresh:
            self._emit(Update(self._last.topology, frozenset(), fresh=False, revision=self._last.revision))

    def _emit(self, update: Update) -> None:
        self._last = update
        self._notify(update)

    def _announce(self) -> None:
        """Put up the sign of life, once a session."""
        if not self._host or self._session == self._client.client_id:
            return
        path = alive_path(self._root, self._host)
        for _ in range(2):
            try:
                self._client.create(path, b"", ephemeral=True, makepath=True)
                break
            except NodeExistsError:
                # Of a session before this one: it would go when that one ends, and take the host with it.
                stat = self._client.exists(path)
                if stat is not None and stat.ephemeralOwner == self._client.client_id[0]:
                    break
                with contextlib.suppress(NoNodeError):
                    self._client.delete(path)
        self._session = self._client.client_id

    def _sync(self) -> None:
        """Read what changed, and emit it."""
        path = head_path(self._root)
        try:
            data, _ = self._client.get(path, watch=self._watch)
        except NoNodeError:
            self._client.exists(path, watch=self._watch)
            self._find_nothing()
            return
        head = Head.parse(data)
        changed = head.changed_since(self._last.revision) if self._read_once else None
        folder = document_path(self._root)
        wanted = frozenset(self._client.get_children(folder)) if changed is None else changed
        found = read_many(self._client, [f"{folder}/{name}" for name in wanted])
        raw = {path.rsplit("/", 1)[1]: data for path, data in found.items()}
        if changed is not None:
            raw = {**{name: data for name, data in self._raw.items() if name not in changed}, **raw}
        self._take(raw, head.revision)

    def _find_nothing(self) -> None:
        """Nothing was written yet; or everything is lost, and then what was known last is better."""
        if self._last.revision > 0:
            self._emit_stale()
        else:
            self._take({}, 0)

    def _take(self, raw: dict[str, bytes], revision: int) -> None:
        changes = tuple(self._changes(raw))
        topology, tags = self._last.topology.apply(changes) if changes else (self._last.topology, frozenset())
        self._raw = raw
        self._read_once = True
        if not topology.complete:
            topology = topology.completed()
        was = self._last
        if was.fresh and was.topology is topology and was.revision == revision:
            return
        # What nothing was written to yet is nothing to begin with: flows would be judged by it.
        self._unsaved = revision > 0 and (self._unsaved or bool(changes) or was.revision != revision)
        self._emit(Update(topology, tags, fresh=True, revision=revision))

    def _changes(self, raw: Mapping[str, bytes]) -> Iterator[Change]:
        """What differs between the documents that were and those that are."""
        changed = [name for name in self._raw.keys() | raw.keys() if self._raw.get(name) != raw.get(name)]
        # All of it is read before any of it counts: a document may be none.
        fresh = {
            name: {(type(item), item.name): item for item in load(raw[name])}
            for name in changed
            if name in raw
        }
        gone: dict[tuple[type[Item], str], None] = {}
        here: dict[tuple[type[Item], str], Item] = {}
        for name in changed:
            old, new = self._items.pop(name, {}), fresh.get(name, {})
            if name in fresh:
                self._items[name] = new
            gone.update(dict.fromkeys(old.keys() - new.keys()))
            here.update((ref, item) for ref, item in new.items() if old.get(ref) != item)
        # An item that moved from one document to another is not gone.
        yield from (Change(kind, name, None) for kind, name in gone if (kind, name) not in here)
        yield from (Change(kind, name, item) for (kind, name), item in here.items())

    def _load_copy(self) -> None:
        if self._copy is None:
            return
        try:
            plain = json.loads(self._copy.read_bytes())
            raw = {name: text.encode() for name, text in plain["documents"].items()}
            changes = tuple(self._changes(raw))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            # None yet, or of another version: the database will tell.
            self._items.clear()
            return
        topology, tags = self._last.topology.apply(changes)
        self._raw = raw
        self._emit(Update(topology.completed(), tags, fresh=False, revision=plain["revision"]))

    def _save_copy(self, *, at_once: bool = False) -> None:
        """Write the copy, not too often; the old one stands until the new one is whole."""
        now = time.monotonic()
        if self._copy is None or not self._unsaved or (now - self._saved_at < _SAVE_EVERY_S and not at_once):
            return
        documents = {name: data.decode() for name, data in self._raw.items()}
        fresh = self._copy.with_name(self._copy.name + ".new")
        self._unsaved, self._saved_at = False, now
        try:
            self._copy.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({"revision": self._last.revision, "documents": documents}))
            fresh.replace(self._copy)
        except OSError as error:
            # A full disk is no reason to stop following.
            LOG.warning("no copy of the state database could be written: %s", error)
