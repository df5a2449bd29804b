#!/bin/sh
# A Debian package for arm64 with everything but Python itself: build/deb/mirror-device_VERSION_arm64.deb
#
# The C is cross-compiled, the wheels are PyPI's for aarch64 and CPython 3.11 (Debian 12). With the arm64 tree of
# `make arm` at hand, the package is then installed there by dpkg and run under qemu: the last line is what it said.
set -eu
cd "$(dirname "$0")/.."
. ci/common.sh

python=.venv/bin/python
[ -x "$python" ] || python=${PYTHON:-python3}
place=build/deb
stage=$place/stage
library=$stage/usr/lib/mirror-device
root=${REARVIEW_CACHE:-$HOME/.cache/rearview}/arm/root
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
package=$place/mirror-device_${version}_arm64.deb

needed=""
for pair in aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu dpkg-deb:dpkg; do
    command -v "${pair%%:*}" >/dev/null || needed="$needed ${pair#*:}"
done
# shellcheck disable=SC2086  # words, meant to be split
[ -z "$needed" ] || apt_install $needed libc6-dev-arm64-cross || die "install these as root: apt-get install$needed"

rm -rf "$stage"
mkdir -p "$library" "$stage/DEBIAN" "$stage/usr/bin" "$stage/lib/systemd/system" "$stage/etc/mirror-device"
platforms=""
for glibc in 2014 _2_17 _2_24 _2_26 _2_27 _2_28 _2_34; do platforms="$platforms --platform manylinux${glibc}_aarch64"; done
# shellcheck disable=SC2086  # lists, meant to be split
"$python" -m pip install -q --target "$library" $platforms --python-version 3.11 --only-binary=:all: \
    numpy onnxruntime sounddevice msgspec pyyaml paho-mqtt py-minisign || die "no aarch64 wheels were found"
rm -rf "$library"/bin "$library"/*/tests
find . -path ./build -prune -o -path './mirror_device/*' -name '*.py' -print -o -path './mirror_device/models/*.onnx' -print |
    tar -cf - -T - | tar -xf - -C "$library"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
aarch64-linux-gnu-gcc -shared -fPIC -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -DPy_LIMITED_API=0x030b0000 \
    -I"$include" -o "$library/mirror_device/_native.abi3.so" mirror_device/native/*.c -lm

cat >"$stage/usr/bin/mirror-device" <<'LAUNCH'
#!/bin/sh
PYTHONPATH=/usr/lib/mirror-device exec /usr/bin/python3.11 -s -m mirror_device.cli "$@"
LAUNCH
chmod 755 "$stage/usr/bin/mirror-device"
printf 'models: [smart_mirror]\n' >"$stage/etc/mirror-device/mirror.yaml"
printf '/etc/mirror-device/mirror.yaml\n' >"$stage/DEBIAN/conffiles"
"$python" -m mirror_device.cli install-service "$stage/etc/mirror-device/mirror.yaml" --print |
    sed 's|^ExecStart=.*|ExecStart=/usr/bin/mirror-device serve /etc/mirror-device/mirror.yaml|; s|^ProtectHome=.*|ProtectHome=yes|' \
        >"$stage/lib/systemd/system/mirror-device.service"
cat >"$stage/DEBIAN/control" <<CONTROL
Package: mirror-device
Version: $version
Architecture: arm64
Maintainer: rearview-wakeword <nobody@localhost>
Depends: python3.11-minimal | python3.11, python3 (>= 3.11), libportaudio2, libc6 (>= 2.34)
Section: sound
Priority: optional
Description: wake-word daemon of a rear-view mirror
 Hears its wake word in a driving car and tells whoever wants to know.
CONTROL
dpkg-deb --root-owner-group -Zgzip --build "$stage" "$package" >/dev/null
say "$package, $(du -k "$package" | cut -f1) kB"

[ -e "$root/.complete" ] && command -v qemu-aarch64 >/dev/null || { say "no arm64 tree to try it in: make arm"; exit 0; }
# dpkg's own records, since the tree was only unpacked; the package has no scripts that would have to run there.
mkdir -p "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/info"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
dpkg --root="$root" --force-architecture --force-depends --force-not-root --force-script-chrootless \
    --log=/dev/null -i "$package" >/dev/null 2>&1 || die "dpkg could not install $package in $root"
[ -x "$root/usr/bin/mirror-device" ] && [ -f "$root/lib/systemd/system/mirror-device.service" ] || die "files are missing"
cd /
QEMU_SET_ENV=PYTHONHOME=/usr,PYTHONPATH=/usr/lib/mirror-device,PYTHONDONTWRITEBYTECODE=1 \
    qemu-aarch64 -cpu cortex-a53 -L "$root" "$root/usr/bin/python3.11" -m mirror_device.cli selftest --json
