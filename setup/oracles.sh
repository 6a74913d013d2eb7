#!/usr/bin/env bash
# Unpacks programs that only check files, and those that the lab runs on instances, into build/oracles: the packages
# themselves would start services on this machine (a clock daemon, a log daemon, a server), which is nobody's wish.
# Prints nothing when all are there.
set -euo pipefail
cd -P "$(dirname "$0")/.."

# What is asked, then the libraries that a bare machine lacks.
packages=(chrony conntrack keepalived linuxptp prometheus rsyslog
    libestr0 libfastjson4 libipset13 liblognorm5 libnetfilter-conntrack3 libnfnetlink0 libnftnl11 libnl-3-200
    libnl-genl-3-200 libpci3 libsensors5 libsnmp40)
programs=(usr/sbin/chronyd usr/sbin/conntrack usr/sbin/keepalived usr/sbin/ptp4l usr/sbin/rsyslogd usr/bin/promtool)
folder=$PWD/build/oracles
root=$folder/root

for program in "${programs[@]}"; do
    [ -x "$folder/bin/${program##*/}" ] || missing=1
done
[ -n "${missing:-}" ] || exit 0

echo "setup: unpacking programs that check files (${packages[*]})"
rm -rf "$folder"
mkdir -p "$folder/bin" "$root"
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}" >/dev/null) ||
    { setup/as-root.sh "read Debian's package lists" apt-get update -qq &&
        (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}" >/dev/null); }
for package in "$folder"/*.deb; do
    dpkg-deb -x "$package" "$root"
    rm "$package"
done
libraries=$(dirname "$(find "$root/usr/lib" -name 'libestr.so.0' -print -quit)")
also=$(dirname "$(find "$root" -name 'libnl-3.so.200' -print -quit)")
for program in "${programs[@]}"; do
    name=${program##*/}
    more=
    [ "$name" != rsyslogd ] || more="RSYSLOG_MODDIR=$libraries/rsyslog/"
    printf '#!/bin/sh\nexec env LD_LIBRARY_PATH=%q %s %q "$@"\n' "$libraries:$also" "$more" "$root/$program" >"$folder/bin/$name"
    chmod +x "$folder/bin/$name"
done
