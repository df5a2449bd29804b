#!/bin/sh
# Make .venv with everything that `make demo` and `make test` need. A second run finds nothing to do.
#
# torch is pinned (a newer one is linked to another CUDA than torchaudio and will not import beside it).
# Where it comes from, the first that holds:
#   1. a CPU wheel in a folder of PIP_FIND_LINKS (or of pip's own configuration)
#   2. an NVIDIA GPU is present: the package index's default build
#   3. PyTorch's public CPU index, when it answers
#   4. the package index's default build
# PYTHON=/path/to/python3 chooses the interpreter (3.11 or newer).
set -eu
cd "$(dirname "$0")/.."
. ci/common.sh

venv=.venv
constraints=ci/constraints-cpu.txt
cpu_index=https://download.pytorch.org/whl/cpu
quiet=-q
[ ! -t 2 ] || quiet="" # somebody is watching: show the progress bars
# pip trusts the system's certificates (a company's own among them), uv only when told.
certificates=${SSL_CERT_FILE:-${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}}
[ ! -f "$certificates" ] || export SSL_CERT_FILE="$certificates"

find_python() {
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    die "no Python 3.11 or newer among: ${PYTHON:-python3.11 python3 python3.12 python3.13}" \
        "(apt-get install python3, or set PYTHON)"
}

make_venv() {
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "Python has no venv module: apt-get install python3-venv"
        apt_install python3-venv || die "install it as root: apt-get install python3-venv"
    fi
    say "making $venv with $("$python" -V)"
    "$python" -m venv --clear "$venv"
}

# The folder that holds a CPU wheel of the pinned torch for this interpreter, if there is one.
find_cpu_wheel() {
    tag=$("$venv/bin/python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    version=$(sed -n 's/^torch==//p' "$constraints")
    for folder in ${PIP_FIND_LINKS:-$("$venv/bin/pip" config get global.find-links 2>/dev/null || true)}; do
        for wheel in "$folder/torch-$version+cpu-$tag-"*"_$(uname -m).whl"; do
            [ ! -f "$wheel" ] || { (cd "$folder" && pwd); return; }
        done
    done
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

answers() { # answers URL: reachable within five seconds
    timeout 8 "$venv/bin/python" -c \
        'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)' "$1" >/dev/null 2>&1
}

install_all() {
    wheels=$(find_cpu_wheel)
    uv_options=""
    pip_options=""
    if [ -n "$wheels" ]; then
        say "torch: the CPU wheel in $wheels"
        uv_options="--find-links $wheels"
        pip_options=$uv_options
    elif has_gpu; then
        say "torch: the default build, for this machine's GPU"
    elif answers "$cpu_index/torch/"; then
        say "torch: $cpu_index"
        uv_options="--torch-backend cpu"
        pip_options="--extra-index-url $cpu_index"
    else
        say "torch: no CPU wheel at hand and $cpu_index does not answer; taking the default build (6 GB)"
    fi
    # shellcheck disable=SC2086  # the options are words, meant to be split
    if "$venv/bin/pip" install -q uv && uv $uv_options -c "$constraints" -e '.[all]'; then
        return
    fi
    say "uv is not to be had or failed; installing with pip (slower)"
    # shellcheck disable=SC2086
    "$venv/bin/pip" install $quiet $pip_options -c "$constraints" -e '.[all]'
}

uv() { # uv OPTIONS PACKAGES
    # A find-links folder that is gone would be an error to uv, so the environment's are left out.
    # Compiled once here: with PYTHONDONTWRITEBYTECODE set, every process would compile all of torch anew.
    # shellcheck disable=SC2086
    env -u UV_FIND_LINKS VIRTUAL_ENV="$PWD/$venv" "$venv/bin/uv" pip install $quiet --compile-bytecode "$@"
}

# PyAudio has no Linux wheels: built where PortAudio's and Python's headers are, else left out.
install_pyaudio() {
    "$venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pyaudio") is None)' && return
    headers=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    command -v cc >/dev/null || return 0
    printf '#include <Python.h>\n#include <portaudio.h>\n' | cc -E -I"$headers" - >/dev/null 2>&1 || return 0
    say "building PyAudio, the optional second microphone backend"
    uv pyaudio >/dev/null 2>&1 || "$venv/bin/pip" install -q pyaudio >/dev/null 2>&1 ||
        say "PyAudio did not build; its tests are skipped"
}

python=$(find_python)
stamp=$venv/.rearview-$(cat pyproject.toml setup.py mirror_device/native/* "$constraints" | cksum | tr -d ' ')
if [ ! -f "$stamp" ]; then
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
    say "installing rearview-wakeword[all]"
    install_all
    rm -f "$venv"/.rearview-*
    touch "$stamp"
fi
install_pyaudio
