"""The configuration of nginx, which stands between the network and the workers.

It takes slow clients, oversized and broken requests off the workers, and asks again when a worker
dies with a request in its hands. All it writes goes to the folder that it is started in.
"""

from __future__ import annotations

from typing import Final

from container.app import MAX_BODY_BYTES
from mlsystem import problems

__all__ = ["configuration"]

# What nginx itself answers, without asking a worker.
_PROBLEMS: Final = {
    400: "Request: not HTTP, or its headers are too large; an HTTP request.",
    405: "Method: unknown; GET or POST.",
    413: f"Body: more than {MAX_BODY_BYTES:,} bytes; fewer. Send fewer rows at a time.",
    414: "Request: the address is too long; one of the paths of this service.",
    500: "Server: out of resources; see the endpoint's log.",
    502: "Server: no worker could answer; see the endpoint's log.",
    503: "Server: the model is being loaded; try again in some seconds.",
    504: "Server: no answer in time. Send fewer rows at a time.",
}

_TEMPLATE: Final = """\
daemon off;
pid nginx.pid;
error_log stderr error;
{user}
worker_processes {n_workers};
worker_shutdown_timeout {drain_seconds}s;

events {{
    worker_connections 4096;
}}

http {{
    access_log off;  # the application logs what is worth a look, without values
    server_tokens off;

    client_max_body_size {max_body_bytes};
    client_body_buffer_size 1m;
    client_header_timeout 15s;
    client_body_timeout 15s;
    send_timeout 60s;
    reset_timedout_connection on;
    keepalive_requests 1000000;

    # The workers share one socket.
    upstream workers {{
        server unix:{socket} max_fails=0;
        keepalive 64;
        # A connection belongs to the worker that accepted it, and nginx prefers the one it used
        # last. Without new ones now and then, one worker would do nearly all the work.
        keepalive_requests 100;
    }}

    # When a worker dies, its requests are asked again over new connections: one that was kept may
    # lead to the dead worker, a new one waits for the living or for the dead one's successor.
    # Listed twice, because nginx asks each server once.
    upstream again {{
        server unix:{socket} max_fails=0;
        server unix:{socket} max_fails=0;
        keepalive 0;
    }}

    server {{
        listen {address} backlog=4096;

        proxy_http_version 1.1;
        # The workers get the headers that they read, and no others.
        proxy_pass_request_headers off;
        proxy_set_header Host "";
        proxy_set_header Connection "";
        proxy_set_header Content-Type $content_type;
        proxy_set_header Content-Encoding $http_content_encoding;
        proxy_set_header Accept $http_accept;
        # A prediction changes nothing, so a POST may be sent again. Not after a timeout, though:
        # what takes too long once would take as long again.
        proxy_next_upstream error invalid_header non_idempotent;
        proxy_read_timeout {answer_seconds}s;

        recursive_error_pages on;
        {error_pages}
        error_page 502 = @again;
        error_page 504 /problem/504;

        location / {{
            proxy_pass http://workers;
        }}

        location @again {{
            proxy_pass http://again;
            error_page 502 /problem/502;
            error_page 504 /problem/504;
        }}

        location = /ping {{
            proxy_pass http://again;
            # SageMaker waits 2 s. No answer means that the model is being loaded, or hangs. It asks
            # again and again until there is one: not worth a line each in the log.
            proxy_read_timeout 1s;
            error_log /dev/null;
            {error_pages}
            error_page 502 504 =503 /problem/503;
        }}

{problems}
    }}
}}
"""

# 494 is nginx's own number for headers that are too large. 502 and 504 depend on the path.
_ERROR_PAGES: Final = "error_page 494 =400 /problem/400; " + " ".join(
    f"error_page {status} /problem/{status};" for status in (400, 405, 413, 414, 500, 503)
)

_PROBLEM: Final = """\
        location = /problem/{status} {{
            internal;
            default_type {media_type};
            return {status} '{body}';
        }}
"""


def configuration(
    *,
    address: str,
    socket: str,
    n_workers: int,
    user: str | None,
    answer_seconds: int,
    drain_seconds: int,
) -> str:
    """Return the text of ``nginx.conf``.

    Parameters
    ----------
    address
        ``host:port`` to listen on.
    socket
        Path of gunicorn's Unix socket.
    n_workers
        Processes; as many as CPUs.
    user
        ``"user group"`` that the processes run as when nginx is started by root.
    answer_seconds
        Longest that a worker may take for an answer.
    drain_seconds
        Longest that requests may take to finish when nginx is told to quit.
    """
    return _TEMPLATE.format(
        address=address,
        socket=socket,
        n_workers=n_workers,
        user=f"user {user};" if user else "",
        max_body_bytes=MAX_BODY_BYTES,
        answer_seconds=answer_seconds,
        drain_seconds=drain_seconds,
        error_pages=_ERROR_PAGES,
        problems="\n".join(
            _PROBLEM.format(
                status=status,
                media_type=problems.MEDIA_TYPE,
                body=problems.problem(status, detail).decode().replace("'", r"\'"),
            )
            for status, detail in _PROBLEMS.items()
        ),
    )
