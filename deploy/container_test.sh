#!/usr/bin/env bash
# Build the Dockerfile for real, without Docker: buildah in a chroot, as root.
# Where the base image cannot be pulled, a bare Debian made by debootstrap takes its name: that
# proves every RUN, COPY, USER and ENV and the checks of verify_image.py, not the base image itself.
# Needs: apt-get install buildah debootstrap
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ "$(id -u)" = 0 ] || { echo "container-test needs root: sudo make container-test"; exit 1; }
for program in buildah debootstrap; do
  command -v "$program" >/dev/null || { echo "container-test needs $program: apt-get install buildah debootstrap"; exit 1; }
done

work=$(mktemp -d)
trap 'buildah $storage rm --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
storage="--root $work/storage --runroot $work/run --storage-driver vfs"
base=$(sed -nE 's/^FROM ([^ ]+).*/\1/p' Dockerfile | sort -u)
[ "$(wc -l <<<"$base")" = 1 ] || { echo "the Dockerfile has more than one base: $base"; exit 1; }

echo "==> a bare Debian in place of $base"
# bookworm has the same minor version of Python as the base image
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$work/debian" >"$work/debootstrap.log" 2>&1 \
  || { tail -20 "$work/debootstrap.log"; exit 1; }
ln -s python3 "$work/debian/usr/bin/python"
for settings in /etc/pip.conf /etc/apt/apt.conf.d /etc/apt/sources.list.d; do
  [ -e "$settings" ] && cp -rT "$settings" "$work/debian$settings"
done
rm -f "$work/debian/etc/apt/sources.list"
container=$(buildah $storage from scratch)
buildah $storage copy -q "$container" "$work/debian" / >/dev/null
# this machine's own certificates, for a package index with a private one
buildah $storage config --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$container"
buildah $storage commit -q "$container" "docker.io/library/$base" >/dev/null
buildah $storage rm "$container" >/dev/null
rm -rf "$work/debian"

echo "==> the image"
buildah $storage bud --format docker --isolation chroot --pull=never --network host \
  -v /etc/ssl/certs:/etc/ssl/certs:ro -t spatial-assets .

echo "==> what it holds"
buildah $storage images
container=$(buildah $storage from --pull=never spatial-assets)
buildah $storage run --isolation chroot "$container" -- id
buildah $storage run --isolation chroot "$container" -- dagster --version
