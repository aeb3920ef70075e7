#!/bin/sh
# Finishes a Debian root file system for untrusted users: run inside it, after the packages.
# Nothing setuid, nothing that changes users or mounts, no writable directory except /tmp, no
# trace of the machine it was built on. Used by the Containerfile and by images/build.py alike.
set -eu

# One file is the truth about trusted CAs: OpenSSL, curl, git, Node.js and Python read it.
rm -f /etc/ssl/certs/*.0 /etc/ssl/certs/*.pem
ln -sf certs/ca-certificates.crt /etc/ssl/cert.pem
ln -sf /etc/ssl/certs/ca-certificates.crt /usr/lib/ssl/cert.pem

# The agent's PATH has no sbin; of it only ctypes needs one program.
find /usr/sbin -mindepth 1 ! -name ldconfig ! -name nologin -delete
cd /usr/bin
rm -f chage chfn chsh expiry faillog gpasswd lastlog login mount newgidmap newgrp newuidmap \
    nsenter passwd setpriv sg su umount unshare wall write apt apt-cache apt-cdrom apt-config \
    apt-get apt-key apt-mark
find / -xdev -perm /6000 -exec chmod ug-s {} +

# Every uid of the operator's range has a name: whoami, getpass and os.userInfo() need one.
for uid in $(seq 30000 64999); do
    echo "sandbox:x:$uid:$uid::/home/sandbox:/bin/bash"
done >>/etc/passwd
mkdir -p /home/sandbox /work
chmod 0755 /home/sandbox /work

rm -rf /var/lib/apt /var/cache/* /var/log/* /etc/apt /usr/lib/apt /var/lib/dpkg/*-old \
    /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/machine-id \
    /tmp/* /var/tmp/* /usr/share/man /usr/share/info /usr/share/locale \
    /usr/share/lintian /var/mail /var/local
find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -depth -type d -empty -delete
find / -xdev -type d -perm -0002 ! -path /tmp ! -path '/dev*' ! -path '/proc*' -exec chmod 0755 {} +

# Bytecode that is never compared with its source: quick to start, equal on every build.
find /usr/lib/python3* -name __pycache__ -prune -exec rm -rf {} +
python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.11 /usr/lib/python3
