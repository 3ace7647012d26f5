"""
A random history of a folder on a file system of the kernel: history.py FOLDER SEED COUNT SCALE.
SCALE large also makes a tree with one of everything, and a directory of 5,000 names. Files that were
removed while open stay open until standard input ends; a line on standard output says that all is done.
"""
import ctypes
import os
import random
import stat
import sys

root, seed, count, scale = os.fsencode(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
chance = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE, PUNCH = 1, 2
files, folders, held = [], [root], []
whole = os.open(root, os.O_RDONLY)


def fallocate(file, mode, offset, length):
    result = libc.fallocate(file, mode, ctypes.c_int64(offset), ctypes.c_int64(length))
    if result != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def fresh():
    length = chance.choice([1, 4, 20, 100, 255])
    name = ("%x" % chance.getrandbits(4 * length)).encode()[:length]
    return chance.choice(folders) + b"/" + name


def written(path, at, length):
    with open(path, "r+b" if os.path.exists(path) else "wb") as file:
        file.seek(at)
        file.write(chance.randbytes(16) * (length // 16 + 1))
        if chance.random() < 0.2:
            file.flush()
            os.fsync(file.fileno())


def act(kind):
    some = chance.choice(files) if files else None
    if kind == "create" or some is None:
        path = fresh()
        written(path, chance.choice([0, 0, 0, 100_000]), chance.choice([0, 10, 5_000, 60_000]))
        files.append(path)
    elif kind == "write":
        written(some, chance.randrange(200_000), chance.choice([1, 5_000, 40_000]))
    elif kind == "folder":
        path = fresh()
        os.mkdir(path)
        folders.append(path)
    elif kind == "truncate":
        os.truncate(some, chance.randrange(150_000))
    elif kind == "unlink":
        if chance.random() < 0.3:
            held.append(open(some, "rb"))
        os.unlink(some)
        files.remove(some)
    elif kind == "rename":
        path = chance.choice(files) if chance.random() < 0.4 else fresh()
        os.rename(some, path)
        files.remove(some)
        if path not in files:
            files.append(path)
    elif kind == "link":
        path = fresh()
        os.link(some, path)
        files.append(path)
    elif kind == "symlink":
        os.symlink(b"t" * chance.choice([1, 59, 60, 900]), fresh())
    elif kind == "space":
        with open(some, "r+b") as file:
            mode = chance.choice([0, KEEP_SIZE, PUNCH | KEEP_SIZE])
            fallocate(file.fileno(), mode, chance.randrange(100_000), 1 + chance.randrange(90_000))
    elif kind == "attributes":
        os.chmod(some, chance.randrange(0o10000))
        os.chown(some, chance.randrange(100_000), chance.randrange(100_000))
        os.utime(some, ns=(chance.randrange(2**62), chance.randrange(-(2**60), 2**61)))
    elif kind == "xattr":
        name = b"user." + b"n" * chance.choice([1, 30])
        os.setxattr(some, name, chance.randbytes(chance.choice([0, 10, 60, 700])))


def one_of_everything():
    deep = root
    for level in range(30):
        deep += b"/level %d" % level
        os.mkdir(deep)
    os.mkdir(root + b"/many")
    for i in range(5_000):
        os.close(os.open(root + b"/many/name number %d" % i, os.O_CREAT | os.O_WRONLY))
    for i in range(0, 5_000, 7):
        os.unlink(root + b"/many/name number %d" % i)
    with open(root + b"/sparse", "wb") as file:
        for at in (0, 100_000, 5_000_000, 70_000_000, 900_000_000):
            file.seek(at)
            file.write(b"here")
        file.truncate(1_500_000_000)
    with open(root + b"/split", "wb") as file:
        for block in range(0, 1_000, 2):
            file.seek(block * 4096)
            file.write(b"x" * 100)
    written(root + b"/big", 0, 3_000_000)
    os.mkfifo(root + b"/pipe")
    os.mknod(root + b"/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root + b"/far", stat.S_IFBLK | 0o600, os.makedev(300, 70_000))


if scale == "large":
    one_of_everything()
KINDS = ["create", "create", "create", "write", "write", "folder", "truncate", "unlink", "rename",
         "link", "symlink", "space", "attributes", "xattr"]
for _ in range(count):
    try:
        act(chance.choice(KINDS))
    except OSError:
        pass  # A name that is taken, no space for it, or nothing that this file system can do.
    if chance.random() < 0.04:
        libc.syncfs(whole)
print("done", flush=True)
sys.stdin.read()
