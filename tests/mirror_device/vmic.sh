#!/bin/bash
# A virtual microphone in user space: a PulseAudio null sink whose monitor is ALSA's default source.
#   source vmic.sh start DIR;  mirror-device listen & paplay -d vmic speech.wav;  source vmic.sh stop DIR
# norewinds=1 matters: without it the monitor stays silent until something plays, and a rewind damages the start
# of what is heard (3 of 5 captures).
# Debian: pulseaudio pulseaudio-utils libasound2-plugins libportaudio2
V=${2:?a folder}
mkdir -p "$V"
export XDG_RUNTIME_DIR=$V PULSE_RUNTIME_PATH=$V PULSE_SERVER=unix:$V/pulse.sock ALSA_CONFIG_PATH=$V/asound.conf
if [ "$1" = start ]; then
  printf '</usr/share/alsa/alsa.conf>\npcm.!default { type pulse server "unix:%s/pulse.sock" }\nctl.!default { type pulse server "unix:%s/pulse.sock" }\n' "$V" "$V" > "$V/asound.conf"
  pulseaudio -n -D --exit-idle-time=-1 --use-pid-file=no --log-target=file:"$V/pulse.log" \
    -L "module-native-protocol-unix auth-anonymous=1 socket=$V/pulse.sock" \
    -L "module-null-sink sink_name=vmic rate=${RATE_HZ:-48000} channels=1 norewinds=1 sink_properties=device.description=vmic"
  for _ in $(seq 50); do
    pactl info > /dev/null 2>&1 && break
    sleep .1
  done
  pactl set-default-source vmic.monitor
  pactl set-default-sink vmic
else
  pactl exit
fi
