#!/usr/bin/env bash
# Restore while in use: fio writes to production with verification, production is restored from a
# snapshot, and fio goes on with a region of its own while the image is copied back behind it. What it
# was before is a snapshot, and an undo brings it back. Needs fio, qemu-utils and libnbd-bin.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in fio qemu-img nbdcopy; do
  command -v "$tool" >/dev/null || { echo "SKIPPED: this example needs $tool"; exit 0; }
done
work=$(mktemp -d)
export PALIMPSEST_STORE=$work/store
pal() { node apps/cli/dist/main.js "$@"; }
say() { printf 'ok  %s\n' "$1"; }
uri() { printf 'nbd+unix:///%s?socket=%s/nbd.sock' "$1" "$PALIMPSEST_STORE"; }
sum() { nbdcopy "$(uri "$1")" - | sha256sum | cut -d' ' -f1; }
job() { # job NAME OFFSET SIZE MORE...
  fio --name="$1" --ioengine=nbd --uri="$(uri prod)" --rw=randwrite --bs=4k --iodepth=8 --offset="$2" \
    --size="$3" --verify=crc32c --do_verify=1 --fsync=64 --output="$work/$1.log" "${@:4}" >/dev/null
}
server=
trap 'if [[ -n $server ]]; then kill "$server" 2>/dev/null; wait "$server" || true; fi; rm -rf "$work"' EXIT

pal init 2>/dev/null
pal volume create prod --size 256M >/dev/null 2>&1
pal serve >/dev/null 2>&1 &
server=$!
for _ in $(seq 100); do [[ -S $PALIMPSEST_STORE/nbd.sock ]] && break; sleep 0.1; done

job before 0 128M
pal snapshot create prod@good >/dev/null 2>&1
good=$(sum prod@good)
job after 0 128M --randseed=7
bad=$(sum prod)
say 'production was written over since the snapshot'

pal restore prod --from prod@good --rate 16M >/dev/null 2>&1
[[ $(sum prod) == "$good" ]]
say 'restored at once: production reads as the snapshot while the image is copied back'
job meanwhile 192M 32M --randseed=9
pal restore status
say 'fio wrote and verified 32 MiB meanwhile'
pal jobs 1 >/dev/null 2>&1
[[ $(sum prod@good) == "$good" ]]
[[ $(pal snapshot list prod -q | wc -l) == 2 ]]
undo=$(pal snapshot list prod -q | tail -1)
[[ $(sum "$undo") == "$bad" ]]
qemu-img compare -f raw -F raw "$(uri prod)" "$PALIMPSEST_STORE/volumes/prod.img" >/dev/null
say "copied back: the raw image is what is served; $undo has what it was"

pal undo >/dev/null 2>&1
[[ $(sum prod) == "$bad" ]]
say 'undone: production is what it was before the restore, bit for bit'
