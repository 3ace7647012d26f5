#!/usr/bin/env bash
# The main job on real input: adopt an ext4 image in place, snapshot and branch it in mid-traffic, prove
# with foreign tools (e2fsck, debugfs, qemu-img, nbdcopy, fio, sha256sum) that nothing went where it
# should not, and take the plain image back. No root. Exits non-zero at the first mismatch.
#
# The traffic writes into the blocks of one big preallocated file of the image: production changes for
# real, block by block, while the file system around that file stays clean and checkable.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin
for needed in mkfs.ext4 e2fsck debugfs fio nbdcopy nbdinfo qemu-img qemu-io sha256sum; do
  command -v "$needed" >/dev/null || { echo "this example needs $needed" >&2; exit 1; }
done

work=$(mktemp -d)
store=$work/store
daemon=
cleanup() {
  if [[ -n $daemon ]]; then kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
ok() { printf '  ok: %s\n' "$*"; }
fail() { printf '  MISMATCH: %s\n' "$*" >&2; exit 1; }
pal() { node "$root/apps/cli/dist/pal.cjs" "$@" --store "$store"; }
uri() { printf 'nbd+unix:///%s?socket=%s' "$1" "$store/nbd.sock"; }
sum() { sha256sum | cut -d' ' -f1; }
sum_of() { nbdcopy "$(uri "$1")" - | sum; }
same() { [[ $1 == "$2" ]] || fail "$3: $1 is not $2"; ok "$3"; }

say '1. An ext4 image of a real source tree, with one big file for the traffic'
mkdir "$work/tree"
(cd "$root" && git ls-files -z | xargs -0 cp --parents -t "$work/tree")
head -c 48M /dev/urandom >"$work/tree/big.bin"
image=$work/disk.img
truncate -s 128M "$image"
mkfs.ext4 -q -b 4096 -d "$work/tree" "$image"
e2fsck -fn "$image" >/dev/null 2>&1 || fail 'mkfs made a file system that is not clean'
# The longest extent of big.bin: its first block on the device and its number of blocks.
read -r first blocks < <(debugfs -R 'dump_extents -l /big.bin' "$image" 2>/dev/null |
  sed -nE 's/^ *[0-9]+\/ *[0-9]+ +[0-9]+\/ *[0-9]+ +[0-9]+ - +[0-9]+ +([0-9]+) - +[0-9]+ +([0-9]+).*/\1 \2/p' |
  sort -k2,2n | tail -1)
start=$((first * 4096)) length=$((blocks * 4096))
((length >= 16 << 20)) || fail "big.bin has no extent of 16 MiB: $length bytes"
ok "$(find "$work/tree" -type f | wc -l) files; big.bin lies at byte $start, $length bytes in one run"
before_sum=$(sum <"$image") before_stat=$(stat -c '%i %s' "$image")

say '2. Adopt it in place'
pal init "$store"
pal volume adopt "$image" --name prod
same "$(sum <"$image")" "$before_sum" 'adopting changed no byte'
same "$(stat -c '%i %s' "$image")" "$before_stat" 'same inode, same size'

say '3. Serve it, and write to it with fio over NBD'
node "$root/apps/cli/dist/pal.cjs" serve --store "$store" >"$work/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 200); do nbdinfo --size "$(uri prod)" >/dev/null 2>&1 && break; sleep 0.05; done
nbdinfo --list "$(uri prod)" | grep -E '^export|^\s+export-size' || fail 'nothing is served'
half=$((length / 2 / 4096 * 4096))
cat >"$work/traffic.fio" <<JOBS
[global]
ioengine=nbd
uri=$(uri prod)
bs=4k
randseed=7
[churn]
rw=randwrite
offset=$start
size=$half
iodepth=16
rate_iops=4000
time_based
runtime=8
[verified]
rw=randwrite
offset=$((start + half))
size=$half
iodepth=8
fsync=64
verify=crc32c
JOBS
fio --minimal "$work/traffic.fio" >"$work/fio.log" 2>&1 &
fio=$!
sleep 1

say '4. In mid-traffic: a snapshot and two branches of it'
pal snapshot create prod@monday -m 'in mid-traffic'
monday=$(sum_of prod@monday)
pal branch create prod/dev --from prod@monday
pal branch create prod/test --from prod@monday
kill -0 "$fio" 2>/dev/null || fail 'the traffic ended too early to be mid-traffic'
ok "snapshot taken, sha256 $monday"
# Each branch gets writes of its own inside the big file, as an odd pattern at an odd place.
qemu-io -f raw -c "write -P 0xd5 $((start + 12288)) 1M" -c flush "$(uri prod/dev)" >/dev/null
qemu-io -f raw -c "write -P 0x7e $((start + 512 + 8192)) 300k" -c 'flush' "$(uri prod/test)" >/dev/null
kill -0 "$fio" 2>/dev/null || fail 'the traffic ended before the branches were written'
wait "$fio" || { cat "$work/fio.log" >&2; fail 'fio found an error'; }
ok 'branches written, traffic ended, fio verified what it wrote'

say '5. The snapshot has not changed, and everyone agrees on it'
same "$(sum_of prod@monday)" "$monday" "the snapshot's sha256 is the one of its creation"
nbdcopy "$(uri prod@monday)" "$work/monday.raw"
qemu-img convert -f raw -O raw "$(uri prod@monday)" "$work/monday-qemu.raw"
cmp "$work/monday.raw" "$work/monday-qemu.raw" || fail 'nbdcopy and qemu-img read different bytes'
qemu-img compare -f raw -F raw "$work/monday.raw" "$(uri prod@monday)" >/dev/null || fail 'qemu-img compare'
ok 'nbdcopy, qemu-img convert and qemu-img compare agree'
if qemu-img compare -f raw -F raw "$(uri prod)" "$(uri prod@monday)" >/dev/null; then
  fail 'production equals the snapshot although it was written to'
fi
ok 'production has moved on'

say '6. Each branch holds exactly its own writes'
expected() { # the snapshot with one pattern written over it: NAME OFFSET BYTES PATTERN(octal)
  cp --sparse=never "$work/monday.raw" "$work/$1.expected"
  head -c "$3" /dev/zero | tr '\0' "\\$4" |
    dd of="$work/$1.expected" bs=512 seek=$(($2 / 512)) conv=notrunc status=none
}
expected dev $((start + 12288)) $((1 << 20)) 325
expected test $((start + 512 + 8192)) $((300 << 10)) 176
for branch in dev test; do
  qemu-img compare -f raw -F raw "$work/$branch.expected" "$(uri "prod/$branch")" >/dev/null ||
    fail "prod/$branch differs from the snapshot plus its own writes"
  ok "prod/$branch is the snapshot plus its own writes, nothing else"
done

say '7. The file systems are clean and their files are whole'
for export in prod prod@monday prod/dev prod/test; do
  nbdcopy "$(uri "$export")" "$work/copy.raw"
  e2fsck -fn "$work/copy.raw" >"$work/e2fsck.log" 2>&1 || { cat "$work/e2fsck.log"; fail "$export is not clean"; }
  rm -rf "$work/files" && mkdir "$work/files"
  debugfs -R "rdump / $work/files" "$work/copy.raw" >/dev/null 2>&1
  diff -r --exclude=big.bin --exclude=lost+found "$work/tree" "$work/files" || fail "files of $export differ"
  ok "$export: e2fsck clean, every file of the tree is there"
done

say '8. Take it back: the raw file is plain and complete without Palimpsest'
last=$(sum_of prod)
kill "$daemon" && wait "$daemon" && daemon= || fail 'the daemon did not stop in order'
pal branch list | grep -q prod/dev || fail 'the store forgot a branch'
pal branch delete prod/dev --yes
pal branch delete prod/test --yes
pal volume release prod --drop-snapshots --yes
rm -rf "$store"
same "$(sum <"$image")" "$last" 'the raw file holds the last bytes clients saw'
same "$(stat -c '%i %s' "$image")" "$before_stat" 'still the same inode and size'
e2fsck -fn "$image" >/dev/null 2>&1 || fail 'the released image is not clean'
cmp <(head -c "$start" "$image") <(head -c "$start" "$work/monday.raw") || fail 'bytes before the traffic changed'
ok 'e2fsck is clean; outside the traffic not one byte differs'
say 'Done: adopted, snapshotted, branched, released.'
