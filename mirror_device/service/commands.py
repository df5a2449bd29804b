"""The commands of the control socket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror_device.detector import Detector
from mirror_device.service.standing import status
from mirror_device.service.trials import SLOT

if TYPE_CHECKING:
    from mirror_device.service.daemon import Daemon


def obey(daemon: Daemon, asked: dict[str, Any]) -> dict[str, Any]:
    """Answers a command; runs in the hub's thread."""
    command = asked["command"]
    answer: dict[str, Any] = {"event": "answer", "command": command}
    try:
        if command in ("mute", "unmute"):
            daemon.mute(command == "mute")
        elif command == "speaking":
            daemon.car.speaking = _boolean(asked, "on")
        elif command == "speed":
            daemon.car.speed_kmh = _speed(asked)
        elif command == "model":
            _replace_model(daemon, asked)
        elif command == "status":
            answer |= status(daemon)
        else:
            raise ValueError(
                f"no command {command[:40]!r}: mute, unmute, speaking, speed, model, status, events"
            )
    except ValueError as error:
        return {"event": "error", "command": command, "error": str(error)}
    return answer


def _replace_model(daemon: Daemon, asked: dict[str, Any]) -> None:
    name, path = asked.get("name"), asked.get("path")
    if not isinstance(name, str) or not (isinstance(path, str) or name.startswith(SLOT)):
        raise ValueError('give {"command": "model", "name": CONFIGURED, "path": FILE}')
    opened = (path, Detector(Path(path))) if isinstance(path, str) else None
    daemon.replace_model(name, opened)


def _boolean(asked: dict[str, Any], key: str) -> bool:
    value = asked.get(key)
    if not isinstance(value, bool):
        raise ValueError(f"{key} = {str(value)[:40]}: true or false")
    return value


def _speed(asked: dict[str, Any]) -> float | None:
    value = asked.get("kmh")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1000:
        raise ValueError(f"kmh = {str(value)[:40]}: a speed from 0 to 1000, or null where it is not known")
    return float(value)
