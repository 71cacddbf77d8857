"""The message queue: connects last, after every network is built; retries for ever."""

from __future__ import annotations

import json
import socket
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labctl.nova.eventlog import EventLog

__all__ = ["FIRST_RETRY_S", "LONGEST_RETRY_S", "TOPIC", "retry_delays", "serve"]

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
TOPIC = "network"
_HEARTBEAT_S = 10
_LOOK_S = 1.0


def retry_delays() -> Iterator[float]:
    """Seconds between attempts: 1, doubling up to 60, then 60 for ever."""
    delay = FIRST_RETRY_S
    while True:
        yield delay
        delay = min(2 * delay, LONGEST_RETRY_S)


def serve(server: str, log: EventLog, stopping: Callable[[], bool]) -> None:
    """Connect, consume from the topic's queue of this host, connect anew when it is lost; until stopped.

    Events: ``queue.failed`` (``error``, ``again_s``), ``queue.connected``, ``queue.lost``.
    """
    pika = import_module("pika")
    delays = retry_delays()
    while not stopping():
        try:
            connection = _connect(pika, server)
        except (pika.exceptions.AMQPError, OSError) as error:
            delay = next(delays)
            log.tell("queue.failed", error=str(error) or type(error).__name__, again_s=delay)
            _sleep(delay, stopping)
            continue
        log.tell("queue.connected", server=server)
        delays = retry_delays()
        try:
            _consume(connection, log, stopping)
        except (pika.exceptions.AMQPError, OSError) as error:
            log.tell("queue.lost", error=str(error) or type(error).__name__)


def _connect(pika: Any, server: str) -> Any:  # noqa: ANN401 - pika is not typed
    parameters = pika.ConnectionParameters(
        host=server, heartbeat=_HEARTBEAT_S, socket_timeout=5.0, blocked_connection_timeout=30.0
    )
    return pika.BlockingConnection(parameters)


def _consume(connection: Any, log: EventLog, stopping: Callable[[], bool]) -> None:  # noqa: ANN401 - the same
    host = socket.gethostname()
    channel = connection.channel()
    channel.exchange_declare(exchange="nova", exchange_type="topic", durable=False)
    queue = f"{TOPIC}.{host}"
    channel.queue_declare(queue=queue, auto_delete=True)
    channel.queue_bind(queue=queue, exchange="nova", routing_key=queue)

    def answer(channel: Any, method: Any, properties: Any, body: bytes) -> None:  # noqa: ANN401 - pika's
        log.tell("queue.message", size=len(body))
        if properties.reply_to:
            text = json.dumps({"host": host, "alive": True})
            channel.basic_publish(exchange="", routing_key=properties.reply_to, body=text)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(queue=queue, on_message_callback=answer)
    log.tell("queue.consuming", queue=queue)
    while not stopping():
        connection.process_data_events(time_limit=_LOOK_S)
    connection.close()


def _sleep(delay_s: float, stopping: Callable[[], bool]) -> None:
    end = time.monotonic() + delay_s
    while not stopping() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_S))
