"""``python -m container prepare|train|evaluate|serve``: runs a verb as SageMaker expects.

========= =====================================================================================
exit code when
========= =====================================================================================
0         done
1         failed; the reason is on stderr, in ``output/failure`` (training jobs) and in
          ``output/message`` (processing jobs)
2         there is no such verb
128 + n   stopped by signal n (SIGTERM: 143, SIGINT: 130); nothing half-written remains
========= =====================================================================================

A verb writes what it has not finished under a hidden name that ends in ``.partial`` and renames it
when it is whole; that is how this module knows what to remove when the job is stopped.
"""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from container.paths import Paths
from mlsystem.errors import AlgorithmError, MLSystemError, UserError

__all__ = ["VERBS", "main", "run"]

VERBS = ("prepare", "train", "evaluate", "serve")

_USAGE = f"usage: python -m container {{{'|'.join(VERBS)}}}"

# DescribeProcessingJob shows the first 1 KB of it.
_EXIT_MESSAGE_BYTES = 1_000

# Held by who ends the process: a verb that fails because it is being stopped has not failed.
_ending = threading.Lock()
_REMOVAL_ATTEMPTS = 10


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return the exit code of the verb that `arguments` names."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        found = " ".join(arguments) or "no verb"
        print(f"container: {found!r}; one of {', '.join(VERBS)}.\n{_USAGE}", file=sys.stderr)
        return 2
    verb = arguments[0]
    paths = Paths.from_environment(environment)
    if verb != "serve":  # which drains its requests first, so it handles signals itself
        _stop_on_signal(paths)

    def body(paths: Paths) -> int | None:
        # Each verb has its own heavy imports; serving does not wait for those of training.
        code: int | None = importlib.import_module(f"container.{verb}").main(paths)
        return code

    return run(verb, body, paths)


def run(verb: str, body: Callable[[Paths], int | None], paths: Paths) -> int:
    """Return what `body` returns (nothing: 0), or 1 and leave its error where SageMaker looks."""
    try:
        return body(paths) or 0
    except MLSystemError as error:
        failure = error
    except OSError as error:
        failure = _explain_os_error(verb, error)
    except Exception as error:
        failure = _unexpected(verb, error)
    with _ending:
        if not isinstance(failure, UserError):
            traceback.print_exception(failure)
        _report(str(failure), paths)
        return 1


def _explain_os_error(verb: str, error: OSError) -> MLSystemError:
    if error.errno != errno.ENOSPC:
        return _unexpected(verb, error)
    full = UserError(
        str(error.filename or verb), "no space left on the disk", "room for what the job writes",
        f"Raise instances/{verb}/volume_gb in project.yml, or free some space",
    )  # fmt: skip
    full.__cause__ = error
    return full


def _unexpected(verb: str, error: Exception) -> AlgorithmError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = "/".join(Path(last.filename).parts[-2:])
    failure = AlgorithmError(
        f"{verb} at {place}:{last.lineno} in {last.name}", f"{type(error).__name__}: {error}",
        "no such error",
        "This is a defect of the system rather than of your data: report it with the job's log",
    )  # fmt: skip
    failure.__cause__ = error
    return failure


def _report(message: str, paths: Paths) -> None:
    print(message, file=sys.stderr, flush=True)
    brief = message.encode()[:_EXIT_MESSAGE_BYTES].decode(errors="ignore")
    for path, text in ((paths.failure, message), (paths.exit_message, brief)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:  # a full disk must not hide the message itself
            print(f"{path}: {error}", file=sys.stderr, flush=True)


# --- being stopped ------------------------------------------------------------------------------


def _stop_on_signal(paths: Paths) -> None:
    """Exit at once on SIGTERM and SIGINT, also while native code runs.

    Python runs signal handlers between bytecodes, and a query or a fit can be one call of minutes.
    The interpreter's wakeup descriptor is written to immediately, so a thread listens there.
    """
    listener, notifier = socket.socketpair()
    notifier.setblocking(False)
    signal.set_wakeup_fd(notifier.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def stop() -> None:
        with listener, notifier:  # open for as long as the thread listens
            number = listener.recv(1)[0]
            _ending.acquire()
            try:
                _remove_partial_outputs(paths)
            finally:
                name = signal.Signals(number).name
                print(f"container: stopped by {name}", file=sys.stderr, flush=True)
                os._exit(128 + number)

    threading.Thread(target=stop, name="stop-on-signal", daemon=True).start()


def _remove_partial_outputs(paths: Paths) -> None:
    for folder in (paths.prepared, paths.evaluation, paths.model, paths.training_output):
        for partial in [*folder.parent.glob(".*.partial"), *folder.glob("**/.*.partial")]:
            if partial.is_dir():
                _remove_tree(partial)
            else:
                partial.unlink(missing_ok=True)


def _remove_tree(folder: Path) -> None:
    # What still runs may add a file between looking and removing.
    for _ in range(_REMOVAL_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
