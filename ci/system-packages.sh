#!/bin/sh
# Install what the microphone tests use: PortAudio, a compiler for PyAudio, and PulseAudio's virtual sound card.
# Where that is not allowed, say the command and go on: those tests skip.
set -eu
cd "$(dirname "$0")/.."
. ci/common.sh

packages="libportaudio2 portaudio19-dev gcc libc6-dev pulseaudio pulseaudio-utils libasound2-plugins"
# Debian's own Python keeps its headers apart.
[ "$(command -v python3)" != /usr/bin/python3 ] || packages="$packages python3-dev"

command -v dpkg-query >/dev/null || exit 0
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command="apt-get install -y --no-install-recommends$missing"
say "$command"
# shellcheck disable=SC2086  # a list of names
apt_install $missing || say "not installed; the microphone tests are skipped. As root: $command"
