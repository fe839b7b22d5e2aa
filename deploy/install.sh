#!/usr/bin/env bash
# Installs the daemon for a service manager. `make install`, `upgrade`, `rollback` and `uninstall` call it; by hand:
#
#   deploy/install.sh install        this version beside those that are there, then switch to it; starts nothing
#   deploy/install.sh upgrade        the same, and restart what runs; where that fails, back to the one before
#   deploy/install.sh rollback       switch to the release before (TO=RELEASE: to that one), and restart what runs
#   deploy/install.sh uninstall      remove all but configuration, state and user; PURGE=1: those, too
#   deploy/install.sh wheels DIR     fetch what an installation without network needs (then: WHEELS=DIR)
#
# Variables: PREFIX (/usr/local: command, units, manual, completion), DESTDIR (put in front of every path, for packages:
# then nothing is started and no user is made), PYTHON (the interpreter), WHEELS (a folder instead of an index).
#
# A release is a folder of its own, /opt/price-stream/releases/NAME: a virtual environment with the program, and below
# share/ all that is put elsewhere. It is built aside and gets its name when it is complete, then never changes. The link
# /opt/price-stream/current names the one in force; it is switched last and by one rename, so whatever fails before
# leaves the old release in force.

set -euo pipefail
umask 022
# Neither the caller's modules nor compiled leftovers in the checkout have a part in this.
unset PYTHONPATH PYTHONHOME
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly SOURCE
readonly PREFIX=${PREFIX:-/usr/local} DESTDIR=${DESTDIR:-}
readonly HOME_DIR=/opt/price-stream ETC=/etc/price-stream STATE=/var/lib/price-stream OWNER=price-stream
readonly TOP=$DESTDIR$HOME_DIR
readonly UNITS="price-stream.service price-stream@.service"
# What the shared files of a release are linked as.
readonly LINKS="bin/pricestreamd share/man/man8/pricestreamd.8 share/man/man5/pricestreamd.yaml.5
    share/bash-completion/completions/pricestreamd share/zsh/site-functions/_pricestreamd"
# Megabytes; with fewer, no step gets far.
readonly ENOUGH=16
# Packages that exist as source only; all others come as wheels.
readonly SOURCE_ONLY=sdnotify

# What is said when a step ends this early: the step has told why, but pip's steps do not tell of a full disk.
failed() {
    local left
    left=$(df -Pk "$TOP" | awk 'NR == 2 {print int($4 / 1024)}')
    [ "$left" -gt "$ENOUGH" ] || say "install: the disk of $TOP is full: $left MB are left" >&2
    [ "$verb" = rollback ] || [ -n "${WHEELS:-}" ] ||
        say "install: if there is no package index within reach: WHEELS=FOLDER (docs/install.md, \"Without a network\")" >&2
    say "install: failed; $(named current | grep . || echo nothing) stays in force" >&2
}

say() { printf '%s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }

# --- the interpreter --------------------------------------------------------------------------------------------------

# Print the path of interpreter $1; fail with the reason why it will not do. The service cannot see /root and /home.
suitable() {
    "$1" -I - <<'PYTHON' 2>/dev/null || { local code=$?; [ $code = 3 ] || say "does not run"; return 1; }
import os, sys
def refuse(why):
    print(why)
    sys.exit(3)
path = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
if sys.version_info < (3, 11):
    refuse("is %d.%d" % sys.version_info[:2])
for place in (path, os.path.realpath(sys.base_prefix)):
    if place.startswith(("/root/", "/home/")):
        refuse("is in %s, where the service cannot look" % place)
try:
    import ensurepip, venv
except ImportError:
    refuse("has no venv (on Debian: apt install python3-venv)")
print(path)
PYTHON
}

# Set `python` to the first interpreter that will do.
find_python() {
    local candidate reasons=""
    for candidate in ${PYTHON:-/usr/bin/python3 /usr/local/bin/python3 python3 python3.14 python3.13 python3.12 python3.11}; do
        command -v "$candidate" >/dev/null || { [ -z "${PYTHON:-}" ] || reasons=" $candidate is not there;"; continue; }
        if python=$(suitable "$candidate"); then return; fi
        reasons+=" $(command -v "$candidate") $python;"
    done
    die "no suitable Python: 3.11 or newer with venv, outside /root and /home.${reasons%;} (PYTHON=... names one)"
}

# --- building a release -----------------------------------------------------------------------------------------------

version() { sed -n 's/^version = "\(.*\)"/\1/p' "$SOURCE/pyproject.toml"; }

# What a release is made of, as one word: the same word is the same release.
digest() {
    (
        cd "$SOURCE"
        "$python" -VV
        find pricestreamd config deploy tools requirements pyproject.toml docs/commands.md -name __pycache__ -prune -o -type f -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
    ) | sha256sum | cut -c1-64
}

# Set `release`: the version, or, where that name is taken by other contents, the version and a part of the digest.
name_release() {
    local contents
    release=$(version)
    [ -n "$release" ] || die "no version in $SOURCE/pyproject.toml"
    contents=$(digest)
    made=$contents
    if [ -e "$TOP/releases/$release" ] && [ "$(cat "$TOP/releases/$release/.contents" 2>/dev/null)" != "$contents" ]; then
        release=$release-${contents:0:8}
    fi
}

# pip of the environment $1, with the build tools in $1/build where they are there. It tells errors only.
pip_of() { local home=$1; shift; PYTHONPATH=$home/build "$home/bin/python" -m pip --quiet --quiet "$@"; }

# Make the virtual environment $1 with the build tools in $1/build; every file has its hash in requirements/.
tools_into() {
    "$python" -m venv "$1"
    pip_of "$1" install --require-hashes --only-binary :all: --target "$1/build" -r "$SOURCE/requirements/build.txt"
}

# Build into $1, for a life in $2.
build() {
    local stage=$1 final=$2
    export TMPDIR=$stage/tmp
    mkdir -p "$stage/tmp"
    tools_into "$stage"
    pip_of "$stage" wheel --no-build-isolation --require-hashes --only-binary :all: --no-binary "$SOURCE_ONLY" \
        --wheel-dir "$stage/wheels" -r "$SOURCE/requirements/runtime.txt"
    pip_of "$stage" wheel --no-build-isolation --no-deps --wheel-dir "$stage/wheels" "$SOURCE"
    # Without the tools: what they have is not there later.
    "$stage/bin/python" -m pip --quiet install --no-index --no-deps "$stage"/wheels/*.whl
    # They tell whence each package came: a folder that is soon gone.
    find "$stage/lib" -name direct_url.json -delete
    share "$stage"
    "$stage/bin/python" -I -c 'import pricestreamd' || die "the new release does not start"
    rm -rf "$stage/build" "$stage/wheels" "$stage/tmp"
    unset TMPDIR
    # It moves once, to its name: what names its folder must name that one.
    grep -rlIF --null "$stage" "$stage/bin" "$stage/pyvenv.cfg" | xargs -0r sed -i "s|$stage|$final|g"
    printf '%s\n' "$made" >"$stage/.contents"
    sync -f "$stage"
}

# All that is put elsewhere, into $1/share.
share() {
    local share=$1/share shell
    install -d "$share/systemd" "$share/sysusers" "$share/supervisor" "$share/man/man5" "$share/man/man8" \
        "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/price-stream"
    for unit in $UNITS; do install -m 0644 "$SOURCE/deploy/systemd/$unit" "$share/systemd/"; done
    install -m 0644 "$SOURCE/deploy/sysusers/price-stream.conf" "$share/sysusers/"
    install -m 0644 "$SOURCE/deploy/supervisor/price-stream.conf" "$share/supervisor/"
    install -m 0644 "$SOURCE"/config/{minimal,price-stream}.yaml "$SOURCE/config/schema.json" "$share/price-stream/"
    sed -i "1s|=\./schema.json|=$HOME_DIR/current/share/price-stream/schema.json|" "$share"/price-stream/*.yaml
    install -m 0755 "$SOURCE/deploy/install.sh" "$share/price-stream/"
    (
        cd "$SOURCE"
        export PYTHONPATH=$SOURCE:$1/build
        "$1/bin/python" -m tools.manual "$share/man"
        for shell in bash/bash-completion/completions/pricestreamd zsh/zsh/site-functions/_pricestreamd; do
            "$1/bin/python" -m tools.completion "${shell%%/*}" >"$share/${shell#*/}"
        done
    )
}

# Build `release` unless it is there; nothing of a failed attempt stays.
provide() {
    if [ -e "$TOP/releases/$release" ]; then
        say "release $release is there already"
        return
    fi
    say "building release $release with $python"
    install -d "$TOP" "$TOP/releases"
    find "$TOP/releases" -maxdepth 1 -name '.new-*' -exec rm -rf {} +
    stage=$TOP/releases/.new-$$
    trap 'failed; rm -rf "$stage"' EXIT
    build "$stage" "$HOME_DIR/releases/$release"
    mv -T "$stage" "$TOP/releases/$release"
    trap - EXIT
}

# --- putting a release into force -------------------------------------------------------------------------------------

# The release that link $1 names; nothing where there is none.
named() { basename "$(readlink "$TOP/$1" 2>/dev/null)" 2>/dev/null || true; }

# Let link $1 be $2, at once.
link() { ln -s "$2" "$1.new-$$" && mv -fT "$1.new-$$" "$1"; }

# Copy file $1 to $2, at once.
put() { install -D -m 0644 "$1" "$2.new-$$" && mv -fT "$2.new-$$" "$2"; }

# The units of release $1: copies, as systemd would take links for somebody else's and remove them when it disables.
put_units() {
    local share=$TOP/releases/$1/share unit
    [ -d "$share" ] || { say "release $1 was put there by hand: the units stay as they are"; return 0; }
    for unit in $UNITS; do put "$share/systemd/$unit" "$DESTDIR$PREFIX/lib/systemd/system/$unit"; done
    put "$share/sysusers/price-stream.conf" "$DESTDIR$PREFIX/lib/sysusers.d/price-stream.conf"
}

systemd_runs() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; }

make_user() {
    [ -z "$DESTDIR" ] || return 0
    if getent passwd "$OWNER" >/dev/null; then return; fi
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$PREFIX/lib/sysusers.d/price-stream.conf"
    else
        useradd --system --user-group --home-dir "$STATE" --shell /usr/sbin/nologin "$OWNER"
    fi
}

# A first configuration, where there is none.
make_configuration() {
    local config=$DESTDIR$ETC/config.yaml group=(-g "$OWNER")
    [ -z "$DESTDIR" ] || group=()
    [ -d "$DESTDIR$ETC" ] || install -d -m 0750 "${group[@]}" "$DESTDIR$ETC"
    if [ -e "$config" ] || [ -L "$config" ]; then
        say "$config is yours and stays as it is"
        return
    fi
    [ -d "$TOP/releases/$1/share" ] || return 0
    install -m 0640 "${group[@]}" "$TOP/releases/$1/share/price-stream/minimal.yaml" "$config.new-$$"
    mv -T "$config.new-$$" "$config"
    say "$config is a small sample: put your feeds and alerts into it"
    say "every key is in $HOME_DIR/current/share/price-stream/price-stream.yaml"
}

# Put release $1 into force. The link is the last step.
activate() {
    local new=$1 old path
    old=$(named current)
    put_units "$new"
    make_user
    make_configuration "$new"
    for path in $LINKS; do
        install -d "$(dirname "$DESTDIR$PREFIX/$path")"
        link "$DESTDIR$PREFIX/$path" "$HOME_DIR/current/$path"
    done
    if [ "$old" != "$new" ]; then
        [ -z "$old" ] || link "$TOP/previous" "releases/$old"
        link "$TOP/current" "releases/$new"
    fi
    if systemd_runs; then systemctl daemon-reload; fi
    for path in $UNITS; do
        [ ! -e "$DESTDIR/etc/systemd/system/$path" ] || say "note: your /etc/systemd/system/$path is in force, not ours"
    done
}

# Switch to release $1; what fails leaves the units of the old one, too.
switch() {
    [ -x "$TOP/releases/$1/bin/pricestreamd" ] || die "release $1 is not in $TOP/releases"
    trap 'put_units "$(named current)" 2>/dev/null || true; failed' EXIT
    activate "$1"
    trap - EXIT
}

# Those of our services that run, or try to.
running() {
    if systemd_runs; then
        systemctl list-units --plain --no-legend --state=active,activating,reloading 'price-stream.service' 'price-stream@*.service' |
            awk '{print $1}'
    fi
}

# The configuration of service $1.
configuration_of() {
    local name=${1%.service}
    case $name in *@*) say "$ETC/${name#*@}.yaml" ;; *) say "$ETC/config.yaml" ;; esac
}

# Let release $1 check the configurations of what runs, before it is in force: what ran goes on running by what it has.
check_configurations() {
    local service config pid environment program=$TOP/releases/$1/bin/pricestreamd
    for service in $(running); do
        config=$(configuration_of "$service")
        # The keys of the service are found by the path of its configuration; else it may have them by a drop-in.
        if "$program" check --config "$config" >/dev/null 2>&1; then continue; fi
        environment=()
        pid=$(systemctl show --property=MainPID --value "$service")
        [ "$pid" = 0 ] || mapfile -d '' -t environment <"/proc/$pid/environ" || true
        if ! env "${environment[@]}" "$program" check --config "$config" >/dev/null; then
            die "release $1 would not start with $config: set it right, then again; ${old:-nothing} stays in force, and runs"
        fi
    done
}

# Restart what runs; where it does not come up, go back to release $1.
restart() {
    local old=$1 services
    services=$(running)
    [ -n "$services" ] || { say "nothing of it runs under systemd: nothing restarted"; return; }
    # shellcheck disable=SC2086 # names without spaces
    if systemctl restart $services; then
        say "restarted:" $services
        return
    fi
    # shellcheck disable=SC2086
    systemctl status --no-pager --lines=10 $services >&2 || true
    if [ -z "$old" ] || [ "$old" = "$(named current)" ]; then
        die "it does not come up"
    fi
    say "it does not come up: going back to $old" >&2
    switch "$old"
    # shellcheck disable=SC2086
    systemctl restart $services || die "$old does not come up, either"
    die "release $old is in force again, and runs; the new one stays in $TOP/releases"
}

# --- the verbs --------------------------------------------------------------------------------------------------------

# Root, and nobody else at the same time.
begin() {
    [ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die "needs root: sudo make $verb (or DESTDIR=... for a package)"
    case $DESTDIR in ""|/*) ;; *) die "DESTDIR must be an absolute path" ;; esac
    [ ! -d "$TOP" ] && [ "$verb" = uninstall ] && return
    install -d "$TOP"
    exec 9>"$TOP/.lock"
    flock --nonblock 9 || die "another installation is at work in $TOP"
}

# Build this release and put it into force; $1: what has to go well before it is.
install_release() {
    if [ -n "${WHEELS:-}" ]; then
        [ -d "$WHEELS" ] || die "WHEELS=$WHEELS is no folder"
        PIP_FIND_LINKS=$(cd "$WHEELS" && pwd)
        export PIP_NO_INDEX=1 PIP_FIND_LINKS
    fi
    find_python
    name_release
    provide
    ${1:-true} "$release"
    switch "$release"
    say "release $release is in force: $HOME_DIR/current"
}

do_install() {
    install_release
    [ -z "$DESTDIR" ] || return 0
    local services
    services=$(running)
    if [ -n "$services" ]; then
        # shellcheck disable=SC2086 # names without spaces
        say "what runs is what ran before; to take the new release: systemctl restart" $services
    else
        say "next: edit $ETC/config.yaml, then pricestreamd check, then systemctl enable --now price-stream"
    fi
}

do_upgrade() {
    local old
    old=$(named current)
    install_release check_configurations
    restart "$old"
}

do_rollback() {
    local old to=${TO:-$(named previous)}
    old=$(named current)
    [ -n "$to" ] || die "there is no release before ${old:-this}: nothing to go back to"
    [ "$to" != "$old" ] || die "$to is in force already"
    switch "$to"
    say "release $to is in force; $old stays in $TOP/releases"
    restart "$old"
}

do_uninstall() {
    local services path unit
    if systemd_runs; then
        services=$(systemctl list-units --all --plain --no-legend 'price-stream.service' 'price-stream@*.service' | awk '{print $1}')
        # shellcheck disable=SC2086
        [ -z "$services" ] || systemctl disable --quiet --now $services
        for unit in $UNITS; do systemctl disable --quiet "$unit" 2>/dev/null || true; done
    fi
    for unit in $UNITS; do rm -f "$DESTDIR$PREFIX/lib/systemd/system/$unit"; done
    rm -f "$DESTDIR$PREFIX/lib/sysusers.d/price-stream.conf"
    for path in $LINKS; do
        [ "$(readlink "$DESTDIR$PREFIX/$path")" != "$HOME_DIR/current/$path" ] || rm -f "$DESTDIR$PREFIX/$path"
    done
    rm -rf "$TOP"
    if systemd_runs; then systemctl daemon-reload; fi
    if [ "${PURGE:-}" = 1 ]; then
        rm -rf "$DESTDIR$ETC" "$DESTDIR$STATE" "$DESTDIR$STATE"-*
        # What `systemctl edit` has made.
        rm -rf "$DESTDIR"/etc/systemd/system/price-stream.service.d "$DESTDIR"/etc/systemd/system/price-stream@*.service.d
        if systemd_runs; then systemctl daemon-reload; fi
        if [ -z "$DESTDIR" ] && getent passwd "$OWNER" >/dev/null; then userdel "$OWNER"; fi
        say "removed, with configuration, state and user, and your changes to the units"
    else
        say "removed; kept: $DESTDIR$ETC (configuration), $DESTDIR$STATE (state) and the user $OWNER (PURGE=1 removes them)"
    fi
}

do_wheels() {
    local folder=$1 work
    find_python
    mkdir -p "$folder"
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # now, not then
    trap "rm -rf '$work'" EXIT
    tools_into "$work/venv"
    pip_of "$work/venv" download --require-hashes --only-binary :all: --dest "$folder" -r "$SOURCE/requirements/build.txt"
    pip_of "$work/venv" download --no-build-isolation --require-hashes --only-binary :all: --no-binary "$SOURCE_ONLY" \
        --dest "$folder" -r "$SOURCE/requirements/runtime.txt"
    say "$folder has what $("$python" -V) needs; install with WHEELS=$folder"
}

usage() {
    sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 64
}

# A variable goes before the command: as an argument it would be overlooked, and the wrong place written to.
readonly verb=${1:-}
case $verb:$# in
    install:1 | upgrade:1 | rollback:1 | uninstall:1)
        begin
        "do_$verb"
        ;;
    wheels:2) do_wheels "$2" ;;
    *) usage ;;
esac
