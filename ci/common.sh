# Shared by the scripts of ci/; sourced, not run.

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 2; }

# as_root COMMAND...: run it as root, or fail at once where that would ask for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# apt_install PACKAGE...: install Debian packages where that is allowed; 1 where it is not or fails.
apt_install() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null || return 1
    apt_quick="-o Acquire::http::Timeout=20 -o Acquire::Retries=1"
    # shellcheck disable=SC2086  # options, meant to be split
    as_root timeout 120 apt-get $apt_quick update -qq >/dev/null 2>&1 || true
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive timeout 300 \
        apt-get $apt_quick install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}
