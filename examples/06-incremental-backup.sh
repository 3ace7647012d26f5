#!/usr/bin/env bash
# Incremental backup of a file system in use: a full export and two of what changed since, imported into
# another store, where every snapshot has the sha256 of the original. What changed is also asked for as NBD
# clients ask, as a dirty bitmap. The receiving daemon is killed in the midst of the first import, which then
# goes on where it was. No root; exits non-zero at the first mismatch.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin
for needed in mkfs.ext4 e2fsck fio nbdcopy nbdinfo sha256sum; do
  command -v "$needed" >/dev/null || { echo "this example needs $needed" >&2; exit 1; }
done
work=$(mktemp -d)
here=$work/here there=$work/there
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
ok() { printf '  ok: %s\n' "$*"; }
fail() { printf '  MISMATCH: %s\n' "$*" >&2; exit 1; }
pal() { node "$root/apps/cli/dist/pal.cjs" "$@"; }
uri() { printf 'nbd+unix:///%s?socket=%s/nbd.sock' "$2" "$1"; }
sum_of() { nbdcopy "$(uri "$1" "$2")" - | sha256sum; }
serve() {
  node "$root/apps/cli/dist/pal.cjs" serve --store "$1" >>"$1.log" 2>&1 &
  for _ in $(seq 600); do nbdinfo --list "$(uri "$1" '')" >/dev/null 2>&1 && return; sleep 0.05; done
  cat "$1.log" >&2 && fail "the daemon of $1 does not answer"
}
same() { [[ $(sum_of "$here" "prod@$1") == $(sum_of "$there" "copy@$1") ]] || fail "$1"; ok "$1 has the same sha256 there"; }
traffic() { fio --name=t --ioengine=nbd --uri="$(uri "$here" prod)" --rw=randwrite --bs=4k --iodepth=16 \
  --offset=64M --size=128M --io_size=8M --randseed="$1" --minimal >/dev/null; }

say '1. An ext4 image with 160 MiB in it, adopted by one store; another store for the backups'
mkdir "$work/tree" && head -c 160M /dev/urandom >"$work/tree/data.bin"
truncate -s 256M "$work/disk.img" && mkfs.ext4 -q -b 4096 -d "$work/tree" "$work/disk.img"
pal init "$here" && pal init "$there"
pal volume adopt "$work/disk.img" --name prod --store "$here"
serve "$here" && serve "$there" && receiver=$!
pal snapshot create prod@one --store "$here"

say '2. A full export; the receiver is killed in its midst, and the import goes on where it was'
pal export prod@one --store "$here" >"$work/one.pals"
(head -c 110M "$work/one.pals"; sleep 5) | pal import --to copy --store "$there" >/dev/null 2>&1 &
until start=$(pal import --unfinished --store "$there" | awk '$1 == "copy" && $3 > 0 { print $3 }') && [[ -n $start ]]; do sleep 0.2; done
kill -9 "$receiver" && serve "$there"
[[ -z $(pal snapshot list -q --store "$there") ]] || fail 'half an import is seen as a snapshot'
ok "killed with everything before byte $start there; no snapshot of it is to be seen"
pal export prod@one --start "$start" --store "$here" | pal import --to copy --store "$there"
same one

say '3. The file system is written to; only what changed is exported'
for step in 'one two' 'two three'; do
  read -r from to <<<"$step"
  traffic "${#to}"
  pal snapshot create "prod@$to" --store "$here"
  changed=$(pal diff "prod@$from" "prod@$to" --store "$here" | awk '{ sum += $2 } END { print sum }')
  dirty=$(nbdinfo --map="qemu:dirty-bitmap:prod@$from" "$(uri "$here" "prod@$to")" | awk '$3 == 1 { sum += $2 } END { print sum }')
  [[ $changed -gt 0 && $changed == "$dirty" ]] || fail "pal diff says $changed bytes, the dirty bitmap $dirty"
  ok "$changed bytes may differ, and any NBD client is told the same as a dirty bitmap"
  pal export "prod@$to" --from "prod@$from" --store "$here" | tee >(wc -c >"$work/bytes") | pal import --to copy --store "$there"
  ok "$(cat "$work/bytes") bytes instead of $(stat -c %s "$work/one.pals")"
  same "$to"
done
nbdcopy "$(uri "$there" copy@three)" "$work/three.img" && e2fsck -fn "$work/three.img" >/dev/null 2>&1 || fail 'not clean'
ok 'the file system of the last copy is clean'
