#!/bin/bash
# Boots this machine's systemd as process 1 of a guest: namespaces of its own, and an overlay that keeps the real root
# file system unwritten. For test_systemd.py; needs root.
#
#   boot.sh WORK FILES [SOURCE:TARGET ...]
#
# WORK is an empty folder. FILES is a tree that is laid over the guest's root before it boots. Each SOURCE is seen,
# read-only, at TARGET.
# The guest lives as long as this process.
set -eu
WORK=$1 FILES=$2
shift 2
BINDS=$*

# A cgroup of its own, made before unshare, so that the guest's systemd finds itself at the root of the tree it manages.
for top in /sys/fs/cgroup/unified /sys/fs/cgroup; do [ -e "$top/cgroup.procs" ] && break; done
group=$top/gateway-test-$$
mkdir "$group"
echo $$ > "$group/cgroup.procs"
clean() {
    echo $$ > "$top/cgroup.procs"
    # The guest's processes are gone a moment after their first one.
    for _ in $(seq 50); do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [ -e "$group" ] || return 0
        sleep 0.1
    done
    echo "boot.sh: $group is still there" >&2
}

guest='
set -eu
mount -t tmpfs guest "$WORK"
root=$WORK/root
mkdir "$WORK/upper" "$WORK/scratch" "$root"
mount -t overlay guest -o "lowerdir=/,upperdir=$WORK/upper,workdir=$WORK/scratch" "$root"

# What the kernel shows of itself: this guest only, and read-only where the settings of the real machine are.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
device() { mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
device null 1 3; device zero 1 5; device full 1 7; device random 1 8; device urandom 1 9; device tty 5 0
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"

# Of what this machine has enabled, nothing starts; the journal and what the files bring is all there is.
mask() { rm -rf "$root/etc/systemd/system/$1"; ln -s /dev/null "$root/etc/systemd/system/$1"; }
for unit in $(cd "$root/etc/systemd/system" && find . -path "*.wants/*" -exec basename {} \; | sort -u); do mask "$unit"; done
for unit in systemd-udevd systemd-udev-trigger systemd-networkd systemd-resolved systemd-timesyncd systemd-logind \
    systemd-modules-load systemd-sysctl systemd-random-seed systemd-update-utmp networking; do mask "$unit.service"; done
for unit in getty.target remote-fs.target sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    dev-hugepages.mount; do mask "$unit"; done
: > "$root/etc/fstab"
cp -a "$FILES/." "$root/"
for bind in $BINDS; do
    mkdir -p "$root${bind#*:}"
    mount --bind "${bind%%:*}" "$root${bind#*:}"
    mount -o remount,bind,ro "$root${bind#*:}"
done

hostname guest
ip link set lo up
cd "$root"
mkdir .outside
pivot_root . .outside
umount -l /.outside
# Else a credentials folder cannot be moved to where the service sees it.
mount --make-rshared /
unset NOTIFY_SOCKET
container=guest exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal
'
export WORK FILES BINDS
unshare --mount --pid --ipc --uts --net --cgroup --fork --kill-child=KILL --propagation private bash -c "$guest" &
child=$!
trap 'kill -KILL $child 2>/dev/null; wait $child 2>/dev/null || true; clean' EXIT
trap 'exit 0' TERM INT
wait $child
