#!/bin/sh
# What the daemon costs on ARM, and whether it computes the same there: an arm64 tree under qemu's user mode, executed
# instructions counted. The last line is one JSON object.
#   make arm MODEL=file.onnx DRIVE_S=100     another model than the shipped one, a shorter drive than ten minutes
#
# Needs debootstrap, qemu-user, an aarch64 cross compiler and the network, once; the tree stays in ~/.cache/rearview/arm.
set -eu
cd "$(dirname "$0")/../.."
. ci/common.sh

place=${REARVIEW_CACHE:-$HOME/.cache/rearview}/arm
root=$place/root
python=.venv/bin/python

needed=""
for pair in debootstrap:debootstrap qemu-aarch64:qemu-user aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu gcc:gcc; do
    command -v "${pair%%:*}" >/dev/null || needed="$needed ${pair#*:}"
done
[ -z "$needed" ] || {
    say "installing$needed"
    # shellcheck disable=SC2086  # words, meant to be split
    apt_install $needed libc6-dev-arm64-cross || die "install these as root: apt-get install$needed libc6-dev-arm64-cross"
}

# The tree: no second stage, no chroot; the packages are only unpacked. The wheels are the device's and the service's.
wheels="numpy onnxruntime msgspec pyyaml paho-mqtt"
if [ "$(cat "$root/.complete" 2>/dev/null)" != "$wheels" ]; then
    say "making the arm64 tree in $root (a minute)"
    rm -rf "$root"
    mkdir -p "$place"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -1)
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 bookworm "$root" "$mirror" \
        >"$place/debootstrap.log" 2>&1 || die "debootstrap failed: see $place/debootstrap.log"
    for package in "$root"/var/cache/apt/archives/*.deb; do dpkg -x "$package" "$root"; done
    rm -f "$root"/var/cache/apt/archives/*.deb
    platforms=""
    for version in 2014 _2_17 _2_24 _2_26 _2_27 _2_28; do
        platforms="$platforms --platform manylinux${version}_aarch64"
    done
    # shellcheck disable=SC2086  # lists, meant to be split
    "$python" -m pip install -q --target "$root/usr/local/lib/site" $platforms --python-version 3.11 --only-binary=:all: \
        $wheels || die "no aarch64 wheels were found"
    printf '%s' "$wheels" >"$root/.complete"
fi

# The package as it stands here, its C for the Cortex-A53; onnxruntime wants to read what kind of processor it is on.
rm -rf "$root/usr/local/lib/rearview"
mkdir -p "$root/usr/local/lib/rearview" "$root/proc" "$root/sys/devices/system/cpu"
cp -r mirror_device "$root/usr/local/lib/rearview/"
rm -f "$root"/usr/local/lib/rearview/mirror_device/*.so
cp ci/arm/guest.py "$root/usr/local/lib/rearview/"
printf 'processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 4\n\n' >"$root/proc/cpuinfo"
echo 0 >"$root/sys/devices/system/cpu/possible"
echo 0 >"$root/sys/devices/system/cpu/present"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
aarch64-linux-gnu-gcc -shared -fPIC -mcpu=cortex-a53 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math \
    -I"$include" -o "$root/usr/local/lib/rearview/mirror_device/_native.abi3.so" mirror_device/native/*.c -lm
gcc -shared -fPIC -O2 -o "$place/count.so" ci/arm/count.c
exec "$python" ci/arm/measure.py "$root" "$place/count.so" "${MODEL:-smart_mirror}" "${DRIVE_S:-600}"
