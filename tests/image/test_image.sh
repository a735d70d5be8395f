#!/usr/bin/env bash
# Builds deploy/Dockerfile for real, looks into the image, and streams with it between servers outside of it.
# The base image is made here by debootstrap; it is kept, with nothing else, in WALCAST_IMAGE_CACHE. Needs root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=${WALCAST_IMAGE_CACHE:-/var/tmp/walcast-image-test}
base=docker.io/library/debian:bookworm-slim
image=localhost/walcast-test
fail() { echo "test_image.sh: $*" >&2; exit 1; }
step() { echo "== $* ($SECONDS s)"; }

[[ $EUID -eq 0 ]] || fail "needs root: debootstrap and buildah make file systems"
deploy/install.sh image
/usr/bin/python3 tests/image/check_compose.py

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/run.XXXXXX")
chmod 755 "$work"
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
buildah() { command buildah --root "$cache/storage" --runroot "$work/state" "$@"; }
containers=()
clean_up() {
    for container in "${containers[@]}"; do buildah rm "$container" >/dev/null 2>&1 || true; done
    buildah rmi "$image" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# Where this machine gets its packages is this machine's business: given to the builds, not written into the Dockerfile.
debian_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' | sort -u
}
[[ -n $(debian_sources) ]] || apt-get update
debian_sources >"$work/sources.list"
apt-config dump | grep -E '^Acquire::(http|https|Check|ForceIPv|Retries)' >"$work/apt.conf" || true

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    step "making $base"
    container=$(buildah from scratch)
    containers+=("$container")
    root=$(buildah mount "$container")
    mirror=$(awk '$3 == "bookworm" { print $2; exit }' "$work/sources.list")
    debootstrap --variant=minbase bookworm "$root" "${mirror:-http://deb.debian.org/debian}" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log" >&2; fail "debootstrap failed"; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    buildah umount "$container" >/dev/null
    buildah commit --quiet --rm "$container" "$base" >/dev/null
fi

step "building deploy/Dockerfile"
buildah build --pull-never --file deploy/Dockerfile --tag "$image" \
    --volume "$work/sources.list:/etc/apt/sources.list:ro" --volume "$work/apt.conf:/etc/apt/apt.conf.d/99host:ro" \
    . >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; fail "the build failed"; }

step "looking into it"
container=$(buildah from --pull-never "$image")
containers+=("$container")
inside() { buildah run "$container" -- "$@"; }

[[ $(inside id -u) != 0 ]] || fail "it runs as root"
version=$(inside walcast --version)
[[ -n $version ]] || fail "walcast --version printed nothing"
for tool in cc gcc g++ c++ clang cpp ld as make cmake ninja; do
    ! inside sh -c "command -v $tool" || fail "it contains $tool"
done
linked=$(inside ldd /usr/local/bin/walcast)
! grep 'not found' <<<"$linked" || fail "a library is missing"
# Each library package that the Dockerfile names must be there for walcast itself.
for package in $(sed -n '/^FROM/h; //!H; ${g;p}' deploy/Dockerfile | grep -oE '\blib[a-z0-9.+-]+' | grep -v '/' | sort -u); do
    inside dpkg -s "$package" >/dev/null 2>&1 || continue
    used=no
    for file in $(inside dpkg -L "$package" | grep -E '\.so\.[0-9.]+$'); do
        if grep -qF "${file##*/} " <<<"$linked"; then used=yes; fi
    done
    [[ $used == yes ]] || fail "it contains $package, to which walcast does not link"
done
size=$(buildah images --format '{{.Size}}' "$image")
base_size=$(buildah images --format '{{.Size}}' "$base")
echo "$version, as user $(inside id -u), image of $size (its base: $base_size)"

step "streaming from a Postgres to a Redis outside of it"
/usr/bin/python3 tests/image/stream.py "$work" buildah --root "$cache/storage" --runroot "$work/state" run \
    --volume "$work/etc:/etc/walcast:ro" "$container" --
step "passed"
