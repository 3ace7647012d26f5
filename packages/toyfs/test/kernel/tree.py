"""Prints, as JSON, everything that the kernel says of the tree in a folder: see kernel.ts."""
import hashlib
import json
import os
import stat
import sys

TYPES = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character-device", stat.S_IFBLK: "block-device",
}


def ranges(file, size):
    found, at = [], 0
    while at < size:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(file, start, os.SEEK_HOLE)
        found.append([start, at])
    return found


def digest(file, parts):
    total = hashlib.md5()
    for start, end in parts:
        total.update(b"%d:" % start)
        while start < end:
            data = os.pread(file, min(1 << 20, end - start), start)
            total.update(data)
            start += len(data)
    return total.hexdigest()


known = {}


def describe(path):
    s = os.lstat(path)
    # Once an inode: reading makes the kernel take what is set aside and not written for data.
    if s.st_ino not in known:
        known[s.st_ino] = described(path, s)
    return known[s.st_ino]


def described(path, s):
    kind = TYPES[stat.S_IFMT(s.st_mode)]
    said = {
        "is": kind, "mode": stat.S_IMODE(s.st_mode), "who": "%d:%d" % (s.st_uid, s.st_gid),
        "links": s.st_nlink, "size": s.st_size, "allocated": s.st_blocks * 512,
        "times": ["%d" % t for t in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)],
        "xattrs": {n: os.getxattr(path, n, follow_symlinks=False).hex()
                   for n in sorted(os.listxattr(path, follow_symlinks=False))},
    }
    if kind == "symlink":
        said["target"] = os.readlink(path).decode("latin1")
    if kind.endswith("device"):
        said["device"] = "%d:%d" % (os.major(s.st_rdev), os.minor(s.st_rdev))
    if kind == "file":
        file = os.open(path, os.O_RDONLY | os.O_NOATIME)
        said["data"] = ranges(file, s.st_size)
        said["md5"] = digest(file, said["data"])
        os.close(file)
    return said


def walk(folder, prefix, tree):
    for name in os.listdir(folder):
        if prefix == b"" and name == b"lost+found":
            continue
        path = folder + b"/" + name
        tree[(prefix + b"/" + name).decode("latin1")] = describe(path)
        if os.path.isdir(path) and not os.path.islink(path):
            walk(path, prefix + b"/" + name, tree)


found = {}
walk(os.fsencode(sys.argv[1]), b"", found)
json.dump(found, sys.stdout)
