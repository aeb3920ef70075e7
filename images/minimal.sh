#!/bin/sh
# Usage: minimal.sh ROOT PACKAGE...   with an apt that knows the wanted suite, as root.
# Unpacks exactly these packages, without dependencies and scripts, into ROOT. What makes them work
# unconfigured is done here: merged /usr, the CA bundle, Python's bytecode, the scanners' database.
# Used by the Containerfiles and by images/build.py alike.
set -eu
root=$1
shift
downloads=$(mktemp -d)
chmod 0755 "$downloads"
(cd "$downloads" && apt-get -qq -o APT::Sandbox::User=root download "$@")

for directory in dev etc/ssl/certs proc run sys tmp var/lib/dpkg/status.d; do
    mkdir -p "$root/$directory"
done
for directory in bin sbin lib lib64; do
    mkdir -p "$root/usr/$directory"
    ln -s "usr/$directory" "$root/$directory"
done
for package in "$downloads"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root" \
        --exclude='./usr/share/locale' --exclude='./usr/share/man' --exclude='./usr/share/lintian' \
        --exclude='./usr/lib/*/gconv' --exclude='./usr/share/bash-completion'
    dpkg-deb --field "$package" >"$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done
rm -rf "$downloads"
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -depth -type d -empty -delete
find "$root" -xdev -perm /6000 -exec chmod ug-s {} +
chmod 1777 "$root/tmp"

cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root/usr/share/ca-certificates" "$root/usr/sbin/update-ca-certificates"
mkdir -p "$root/usr/lib/ssl"
ln -s certs/ca-certificates.crt "$root/etc/ssl/cert.pem"
ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"

if [ -e "$root/usr/bin/python3.11" ]; then
    ln -s python3.11 "$root/usr/bin/python3"
    chroot "$root" /usr/bin/python3.11 -m compileall -q --invalidation-mode unchecked-hash \
        /usr/lib/python3.11
fi
