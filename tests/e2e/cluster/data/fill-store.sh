#!/bin/bash
# Imports image archives into the store of a containerd that never runs a container, at the
# machine's own speed: node 2 would need minutes. Must not touch a mount of the host: it runs in
# mount and pid namespaces of its own, and containerd ends with them.
# Arguments: ROOTFS (read-only), SCRATCH and STORE (writable directories), ARCHIVE...
set -euo pipefail
trap 'exit 143' TERM # a pid 1 is deaf to it otherwise
rootfs=$1 scratch=$2 store=$3
shift 3
root=$scratch/root

mount --make-rprivate /
mkdir "$root" "$scratch/upper" "$scratch/work"
mount -t overlay store -o "lowerdir=$rootfs,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs run "$root/run"
mkdir -p "$root/var/lib/containerd"
mount --bind "$store" "$root/var/lib/containerd"

ctr() { chroot "$root" ctr --namespace=k8s.io "$@"; }
chroot "$root" containerd --log-level=warn 2>"$scratch/containerd.log" &
containerd=$!
until ctr version >/dev/null 2>&1; do
    kill -0 $containerd || { cat "$scratch/containerd.log"; exit 1; }
    sleep 0.1
done
for archive; do
    ctr images import - <"$archive"
done
kill $containerd
wait $containerd || true # it must have closed its databases before they are copied
