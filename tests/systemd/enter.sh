#!/bin/sh
# Turns fresh namespaces into a machine of their own and starts its PID 1: an overlay
# of /, whose changes live in memory and end with it. Nothing outside is changed.
#   enter.sh DIRECTORY PATHS INIT...     (PATHS: mounts that / does not show, one a line)
set -eu
base=$1 paths=$2
shift 2
mount -t tmpfs bed "$base"
root=$base/root
mkdir "$root" "$base/upper" "$base/work"
mount -t overlay bed -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
echo "$paths" | while read -r path; do
    [ -z "$path" ] || { mkdir -p "$root$path"; mount --rbind "$path" "$root$path"; }
done

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys" # not a namespace's own: setting it would leak out
mount -t sysfs sysfs "$root/sys" -o ro
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs run "$root/run" -o mode=755
mount -t tmpfs dev "$root/dev" -o mode=755
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=666,mode=620,gid=5
mount -t tmpfs shm "$root/dev/shm" -o mode=1777
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# Without what a distribution wants at boot there is no hardware to look for.
find "$root/etc/systemd" "$root/usr/lib/systemd" "$root/lib/systemd/." -name '*.wants' \
    -path '*/system/*' -prune -exec rm -rf {} +
: >"$root/etc/fstab"
cat >"$root/etc/systemd/system/bed.target" <<'UNIT'
[Unit]
Requires=sysinit.target dbus.socket
Wants=systemd-journald.service systemd-logind.service systemd-user-sessions.service
After=sysinit.target dbus.socket systemd-logind.service
AllowIsolate=yes
UNIT

mkdir "$root/outside"
cd "$root"
pivot_root . outside
umount -l /outside
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=bed "$@"
