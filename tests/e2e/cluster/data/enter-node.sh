#!/bin/bash
# Turns a freshly unshared process into pid 1 of a node: builds the node's mount tree,
# moves into it and becomes an init that only reaps. Must not touch a mount of the host:
# everything happens in this process's own mount namespace.
# Arguments: STATE (writable directory), ROOTFS (read-only), BIN (programs).
set -euo pipefail
state=$1 rootfs=$2 bin=$3
root=$state/root

mount --make-rprivate /
hostname "$(cat "$state/hostname")"
# The node's root is an overlay on the cached root file system, so the cache stays as it was.
mount -t overlay node -o "lowerdir=$rootfs,upperdir=$state/upper,workdir=$state/work" "$root"

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" # a new one: it shows this network namespace's devices
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount -t tracefs tracefs "$root/sys/kernel/tracing" # as systemd does on an ordinary node
mount -t bpf bpf "$root/sys/fs/bpf"
mount --rbind /dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
# On the host's own file system: overlay snapshots cannot live on an overlay.
for directory in containerd kubelet; do
    mkdir -p "$root/var/lib/$directory"
    mount --bind "$state/$directory" "$root/var/lib/$directory"
done
# Under the same path as on the host, where it tells which cluster a loop device belongs to.
mkdir -p "$root$state/volumes"
mount --bind "$state/volumes" "$root$state/volumes"
mkdir -p "$root/opt/ringfence/bin" "$root/etc/ringfence" "$root/var/lib/ringfence-dns"
mount --bind -o ro "$bin" "$root/opt/ringfence/bin"
mount --bind "$state/config" "$root/etc/ringfence"
mount --bind "$state/dns" "$root/var/lib/ringfence-dns"
mkdir -p "$root/etc/cni/net.d"
cp "$state/config/10-ringfence.conflist" "$root/etc/cni/net.d/"
: >"$root/etc/resolv.conf" # no resolver of the host is ever reachable from here

# The kubelet wants some kernel-wide settings. It finds them as it likes them in files laid
# over the real ones, and so never changes the machine's.
cover() {
    local file=$root/run/ringfence-sysctl/$1
    mkdir -p "$(dirname "$file")"
    echo "$2" >"$file"
    mount --bind "$file" "$root/proc/sys/$1"
}
cover vm/overcommit_memory 1
cover vm/panic_on_oom 0
cover kernel/panic 10
cover kernel/panic_on_oops 1
cover kernel/keys/root_maxkeys 1000000
cover kernel/keys/root_maxbytes 25000000
# A user namespace may mount its own /proc only where an unobstructed one is in sight.
mkdir -p "$root/run/ringfence-proc"
chmod 700 "$root/run/ringfence-proc"
mount -t proc proc "$root/run/ringfence-proc"

cd "$root"
mkdir -p run/old-root
pivot_root . run/old-root
umount -l /run/old-root
mount --make-rshared / # Pods may ask for mount propagation
exec chroot . /usr/bin/tini -s -- /bin/sleep infinity
