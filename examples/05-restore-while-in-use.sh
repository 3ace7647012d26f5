#!/usr/bin/env bash
# Restore while in use: fio writes to production with verification, production is restored from a
# snapshot, and fio goes on with a region of its own while the image is copied back behind it. The daemon
# is killed in the midst of that, and the restore goes on. What it was before is a snapshot, and an undo
# brings it back. Needs fio, qemu-utils and libnbd-bin.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in fio qemu-img nbdcopy nbdinfo; do
  command -v "$tool" >/dev/null || { echo "SKIPPED: this example needs $tool"; exit 0; }
done
work=$(mktemp -d)
export PALIMPSEST_STORE=$work/store
pal() { node apps/cli/dist/pal.cjs "$@"; }
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
serve() {
  node apps/cli/dist/pal.cjs serve >/dev/null 2>&1 & # no function: its shell would be what is killed
  server=$!
  for _ in $(seq 200); do nbdinfo --size "$(uri prod)" >/dev/null 2>&1 && return; sleep 0.1; done
}
serve

job before 0 128M
pal snapshot create prod@good >/dev/null 2>&1
good=$(sum prod@good)
job after 0 128M --randseed=7
bad=$(sum prod)
say 'production was written over since the snapshot'

pal restore prod --from prod@good --rate 1M >/dev/null 2>&1
[[ $(sum prod) == "$good" ]]
say 'restored at once: production reads as the snapshot while the image is copied back'
job meanwhile 192M 32M --randseed=9
pal restore status | tee "$work/status"
grep -q prod "$work/status"
say 'fio wrote and verified 32 MiB meanwhile'
now=$(sum prod)
kill -9 "$server" && wait "$server" 2>/dev/null || true
serve
[[ $(sum prod) == "$now" ]]
say 'killed in the midst of it and started again: production reads as it did, the copy-back goes on'
pal restore status | grep -q prod
pal restore resume prod --rate 1G --wait >/dev/null 2>&1
[[ $(sum prod@good) == "$good" ]]
[[ $(pal snapshot list prod -q | wc -l) == 2 ]]
undo=$(pal snapshot list prod -q | tail -1)
[[ $(sum "$undo") == "$bad" ]]
qemu-img compare -f raw -F raw "$(uri prod)" "$PALIMPSEST_STORE/volumes/prod.img" >/dev/null
say "copied back: the raw image is what is served; $undo has what it was"

pal undo >/dev/null 2>&1
[[ $(sum prod) == "$bad" ]]
say 'undone: production is what it was before the restore, bit for bit'
