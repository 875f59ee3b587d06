#!/bin/sh
# broom.sh FOLDER PID: waits until the process of a cluster has ended, then removes what ends with no process: its control groups and its folder.
# It is no child of what it waits for, and in a session of its own, so it outlives whatever ends both.
folder=$1
name=${folder##*/}
tail --sleep-interval=0.1 --pid="$2" -f /dev/null
groups() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$name"; }
tries=0
# Processes in them may still be on their way out.
while [ -n "$(groups)" ] && [ "$tries" -lt 300 ]; do
  groups | while read -r group; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; done
  tries=$((tries + 1))
  [ -z "$(groups)" ] || sleep 0.1
done
rm -rf --one-file-system "$folder"
