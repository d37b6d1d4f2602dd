#!/bin/sh
# The first program of a test's client machine: its card, its root (a squashfs with a tmpfs over it), and a shell on the serial line without echo and prompt.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
for module in virtio_net virtio_blk squashfs overlay nfs nfsv3; do modprobe $module; done
insmod /nfsv2.ko
while [ ! -e /sys/class/net/eth0 ]; do sleep 0.1; done
for word in $(cat /proc/cmdline); do
    case $word in
    guest.address=*) address=${word#*=} ;;
    guest.systemd) systemd=yes ;;
    esac
done
ip link set lo up
ip link set eth0 up
ip addr add "$address" dev eth0
while [ ! -b /dev/vda ]; do sleep 0.1; done
mkdir -p /run/lower /run/upper
mount -t squashfs -o ro /dev/vda /run/lower
mount -t tmpfs tmpfs /run/upper
mkdir -p /run/upper/data /run/upper/work
mount -t overlay -o lowerdir=/run/lower,upperdir=/run/upper/data,workdir=/run/upper/work overlay /newroot
for directory in proc sys dev; do mount --move /$directory /newroot/$directory; done
mkdir -p /newroot/mnt /newroot/run /newroot/tmp
[ -b /newroot/dev/vdb ] && tar -x -f /newroot/dev/vdb -C /newroot
if [ -n "$systemd" ]; then
    cp /bin/busybox /newroot/busybox
    cat > /newroot/shell <<'END'
#!/bin/sh
export HOME=/root PS1= PS2= PATH=/usr/sbin:/usr/bin:/sbin:/bin
stty -F /dev/ttyS0 -echo
echo 'guest ready'
exec sh 2>&1
END
    chmod 755 /newroot/shell
    mkdir -p /newroot/etc/systemd/system/multi-user.target.wants
    cat > /newroot/etc/systemd/system/guest-shell.service <<'END'
[Unit]
After=multi-user.target
[Service]
ExecStart=/shell
StandardInput=tty-force
StandardOutput=tty
TTYPath=/dev/ttyS0
END
    ln -s ../guest-shell.service /newroot/etc/systemd/system/multi-user.target.wants/guest-shell.service
    umount /newroot/dev/pts 2>/dev/null
    exec switch_root -c /dev/console /newroot /sbin/init
fi
cat > /newroot/shell <<'END'
#!/bin/sh
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
chmod 1777 /tmp
export HOME=/root PS1= PS2= PATH=/usr/sbin:/usr/bin:/sbin:/bin
hostname guest
stty -F /dev/console -echo
echo 'guest ready'
exec setsid sh -c 'exec sh <>/dev/ttyS0 >&0 2>&1'
END
chmod 755 /newroot/shell
exec switch_root -c /dev/console /newroot /shell
