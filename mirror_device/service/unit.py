"""The systemd unit of a configuration: what the daemon needs, and nothing else.

Source of the keys: systemd.exec(5), systemd.service(5).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from mirror_device.service.config import Config, ConfigError
from mirror_device.service.mqtt import CREDENTIAL

STATE, RUN = Path("/var/lib/mirror-device"), Path("/run/mirror-device")
MICROPHONES = ("sounddevice", "pyaudio")

_ALWAYS = """\
DynamicUser=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
KeyringMode=private
UMask=0007
LimitCORE=0
MemoryMax=256M
TasksMax=64
Nice=-5
OOMScoreAdjust=-500
"""


def unit_text(config: Config, command: list[str], config_path: Path | None) -> str:
    """A unit that runs ``command`` with what ``config`` asks for.

    A start that fails is tried again every two seconds for ever; only a configuration that cannot be used
    (status 2), which no restart mends, is not.

    Raises:
        ConfigError: a folder or socket that the daemon's user could not write to.
    """
    _check_places(config)
    network = _network(config)
    lines = [
        "[Unit]",
        "Description=Wake word of the rear-view mirror",
        f"After=sound.target{' network-online.target' if network else ''}",
        *(["Wants=network-online.target"] if network else []),
        "StartLimitIntervalSec=20",
        "StartLimitBurst=10",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(map(_quoted, command))}",
        "Restart=always",
        "RestartSec=2",
        "RestartPreventExitStatus=2",
        "TimeoutStartSec=20",
        "TimeoutStopSec=5",
        *_watchdog(config),
        f"RuntimeDirectory={RUN.name}",
        f"StateDirectory={STATE.name}",
        _ALWAYS.rstrip(),
        *_hidden_homes([*map(Path, command[:1]), *([config_path] if config_path else []), *_models(config)]),
        *_devices(config),
        *_sockets(network),
    ]
    mqtt = config.outlets.mqtt
    if mqtt is not None and mqtt.password_file is not None:
        lines.append(f"LoadCredential={CREDENTIAL}:{mqtt.password_file}")
    return "\n".join([*lines, "", "[Install]", "WantedBy=multi-user.target", ""])


def _watchdog(config: Config) -> list[str]:
    """Fed by heard sound alone, so there is none where no sound may be due."""
    if config.source.kind not in MICROPHONES:
        return []
    # Longer than the 5 s after which a silent microphone ends the daemon in good order; a stopped process
    # would not act on the SIGABRT that is sent by default.
    return ["WatchdogSec=6", "WatchdogSignal=SIGKILL"]


def _devices(config: Config) -> list[str]:
    kinds = {config.source.kind} | ({config.reference.source.kind} if config.reference else set())
    executable = "no" if "sounddevice" in kinds else "yes"  # its callbacks are code that cffi writes
    lines = [f"MemoryDenyWriteExecute={executable}"]
    if kinds & set(MICROPHONES) or config.outlets.hook is not None:
        # No PrivateIPC and no PrivateUsers: ALSA shares a microphone (dsnoop) by shared memory and its group.
        return [*lines, "SupplementaryGroups=audio", "DevicePolicy=closed", "DeviceAllow=char-alsa rw"]
    return [*lines, "PrivateDevices=yes", "PrivateIPC=yes", "PrivateUsers=yes", "RemoveIPC=yes"]


def _sockets(network: str) -> list[str]:
    if not network:
        return ["PrivateNetwork=yes", "IPAddressDeny=any", "RestrictAddressFamilies=AF_UNIX"]
    lines = ["RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"]
    return [*lines, "IPAddressDeny=any", "IPAddressAllow=localhost"] if network == "loopback" else lines


def _network(config: Config) -> str:
    """What the outlets and sources need: nothing, ``loopback`` or ``any``."""
    if config.outlets.mqtt is not None:
        return "any"
    hosts = {urlsplit(address).hostname for address in _addresses(config) if address.startswith("tcp://")}
    if not hosts:
        return ""
    return "loopback" if all(_is_loopback(host or "") for host in hosts) else "any"


def _addresses(config: Config) -> Iterator[str]:
    outlets, reference = config.outlets, config.reference
    sources = [config.source] + ([reference.source] if reference is not None else [])
    wyoming = outlets.wyoming.address if outlets.wyoming is not None else None
    yield from filter(None, [outlets.control, wyoming, outlets.metrics, *(s.address for s in sources)])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _models(config: Config) -> list[Path]:
    return [Path(model) for model in config.models if model.startswith("/")]


def _hidden_homes(needed: list[Path]) -> list[str]:
    at_home = [path for path in needed if path.parts[:2] in {("/", "home"), ("/", "root")}]
    return ["ProtectHome=read-only" if at_home else "ProtectHome=yes"]


def _check_places(config: Config) -> None:
    capture = config.capture
    if capture is not None and not capture.folder.is_relative_to(STATE):
        raise ConfigError(
            f"capture.folder: {capture.folder}: the service may only write below {STATE}; name a folder there"
        )
    for address in _addresses(config):
        path = Path(urlsplit(address).path)
        if address.startswith("unix://") and not path.is_relative_to(RUN):
            raise ConfigError(f"{address}: the service may only open sockets below {RUN}; name a path there")


def _quoted(word: str) -> str:
    """A word of a command line, in systemd's way of quoting."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if set(" \t'\";\\") & set(word) else escaped
