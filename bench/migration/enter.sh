#!/bin/sh
# Makes a node of this machine: the root of an image, read-only, with a /run of its own and a /tmp that all nodes see. enter.sh IMAGE TMP COMMAND...
set -e
root=$1 shared=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount --bind "$shared" "$root/tmp"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec "$@"
