"""``mirror-device status``: what a running daemon does; other commands of its control socket too."""

from __future__ import annotations

import argparse
import json
import socket
from typing import Any

EPILOG = """\
examples:
  mirror-device status
  mirror-device status --json | jq .scores
  mirror-device status --send '{"command": "mute"}'
  mirror-device status --control unix:///run/mirror-device/control --send '{"command": "speed", "kmh": 120}'
"""
DEFAULT = "unix:///run/mirror-device/control"
TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 1 << 20


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "status",
        help="ask a running daemon",
        description="Ask a running `mirror-device serve` what it does, or send it a command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--control", default=DEFAULT, metavar="ADDRESS", help="its control socket (%(default)s)"
    )
    parser.add_argument("--send", metavar="JSON", help="a command instead of the question")
    parser.add_argument("--json", action="store_true", help="the answer as it came")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Returns 0, 1 where the daemon could not obey. Raises ValueError where there is none."""
    text = args.send or '{"command": "status"}'
    try:
        json.loads(text)
    except ValueError as error:
        raise ValueError(f"--send {text[:80]!r}: not JSON ({error})") from error
    answer = ask(args.control, text)
    if args.json or args.send:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        print(table(answer))
    return 1 if answer.get("event") == "error" else 0


def ask(address: str, line: str) -> dict[str, Any]:
    """The answer to one line. Raises ValueError: nobody listens, or no answer comes."""
    kind, _, where = address.partition("://")
    content = b""
    try:
        if kind == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(TIMEOUT_S)
            sock.connect(where)
        elif kind == "tcp" and ":" in where:
            host, _, port = where.rpartition(":")
            sock = socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S)
        else:
            raise ValueError(f"{address}: give tcp://HOST:PORT or unix:///PATH")
        with sock:
            sock.sendall(line.encode() + b"\n")
            while len(content) < MAX_ANSWER_BYTES and (part := sock.recv(65536)):
                content += part
                *lines, content = content.split(b"\n")
                for one in lines:  # events come in between
                    if (answer := json.loads(one)).get("event") in ("answer", "error"):
                        return answer
    except OSError as error:
        raise ValueError(
            f"{address}: {error}; is `mirror-device serve` running, with this control socket?"
        ) from error
    raise ValueError(f"{address}: no answer; is this the control socket of `mirror-device serve`?")


def table(status: dict[str, Any]) -> str:
    """For people."""
    state = "muted" if status["muted"] else "speaking" if status["speaking"] else "listening"
    lines = [f"{state}, up {status['up_s']:.0f} s, heard {status['heard_s']:.0f} s"]
    lines += [f"  {word!r}: {model}" for word, model in status["models"].items()]
    lines.append(f"level {status['level_dbfs']:.0f} dBFS, noise {status['noise_dbfs']:.0f} dBFS")
    lines += [f"  {name}: {address}" for name, address in status["addresses"].items()]
    lines += [f"  {count}: {n}" for count, n in sorted(status["counts"].items())]
    return "\n".join(lines)
