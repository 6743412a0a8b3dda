#!/bin/sh
# Copies the files that kmemtrace reads into an archive, as `kmemtrace snapshot` does, on a node where nothing may be
# installed: it takes a POSIX shell, awk, find, head, sed, sort, tail, tar, gzip and xargs, of GNU or of busybox. docs/snapshot.md says what is in it.
#
#   sh kmemtrace-snapshot.sh [-r DIR] [FILE.tar.gz | FILE.tar.zst | FILE.tar]
#   ssh NODE sh -s - < kmemtrace-snapshot.sh > NODE.tar.gz
#
# Without FILE, or with `-`, the archive goes to stdout as .tar.gz. -r DIR: the machine's files are under DIR, as in a
# container that has the node's root at /host. Run it as root. It changes nothing but FILE and a directory under TMPDIR.

set -u
LC_ALL=C
export LC_ALL
umask 077

fail() {
    echo "kmemtrace-snapshot.sh: $*" >&2
    exit 2
}

root=
while getopts r: option; do
    case $option in
        r) root=${OPTARG%/} ;;
        *) fail "usage: kmemtrace-snapshot.sh [-r DIR] [FILE.tar.gz]" ;;
    esac
done
shift $((OPTIND - 1))
out=${1:--}
case $out in
    -)
        [ -t 1 ] && fail "an archive is not for a terminal: name a file, or pipe it"
        pack="gzip -c"
        ;;
    *.tar.gz | *.tgz) pack="gzip -c" ;;
    *.tar.zst)
        command -v zstd > /dev/null || fail "there is no zstd here: name it .tar.gz"
        pack="zstd -q -c"
        ;;
    *.tar) pack=cat ;;
    *) fail "cannot tell what kind of archive $out is to be: name it .tar.gz, .tar.zst or .tar" ;;
esac

temporary=$(mktemp -d "${TMPDIR:-/tmp}/kmemtrace-snapshot.XXXXXX") || fail "cannot make a temporary directory"
beside=
trap 'rm -rf "$temporary" ${beside:+"$beside"}' EXIT
trap 'exit 2' HUP INT TERM
copy=$temporary/copy
mkdir "$copy" || fail "cannot write to $temporary"
notes=$temporary/notes
: > "$notes"

# A file of the kernel's has no size until it is read. One that is gone is not there; one that cannot be read is NAME.error.
functions='
one() {
    if [ ! -e "$1" ]; then
        [ ! -e "$1.error" ] || cat "$1.error" > "$2.error"
    elif ! head -c "$most" "$1" > "$2" 2> "$problem"; then
        rm -f "$2"
        case $(cat "$problem") in
            *"No such file"* | *"No such device"*) ;;
            *) cat "$problem" > "$2.error" ;;
        esac
    fi
}
# 3.10.0-514 hangs if memory.kmem.slabinfo is read while a cgroup is being made. In a copy nothing is.
young() {
    [ -n "$alive" ] && [ "$1" != . ] && [ -z "$(find "$1" -maxdepth 0 -mmin +1)" ]
}
'
eval "$functions"
alive=
[ -e "$root/proc/1/stat" ] && alive=yes
export alive
# A byte more than there may be: what is longer is found by its size in the end.
most=1048577
problem=$temporary/problem
export most problem copy

machine() {
    mkdir -p "$copy${1%/*}"
    one "$root$1" "$copy$1"
}

for file in /proc/cgroups /proc/cmdline /proc/meminfo /proc/uptime /proc/version /proc/config.gz \
    /proc/self/cgroup /proc/self/status \
    /proc/sys/kernel/hostname /proc/sys/kernel/osrelease /proc/sys/kernel/random/boot_id \
    /proc/sys/kernel/tainted /proc/sys/kernel/unprivileged_bpf_disabled \
    /sys/kernel/mm/memcg_reaper/reap_background /sys/kernel/security/lockdown /etc/os-release /etc/redhat-release /usr/lib/os-release; do
    machine "$file"
done
# What is configured for the kernel's command line, and Slurm's settings of cgroups. Not grub.cfg, which may have passwords in it.
for file in "$root"/etc/default/grub "$root"/etc/default/grub.d/*.cfg "$root"/etc/kernel/cmdline "$root"/boot/grub2/grubenv \
    "$root"/boot/grub/grubenv "$root"/boot/loader/entries/*.conf "$root"/boot/efi/loader/entries/*.conf \
    "$root"/etc/slurm/cgroup.conf "$root"/etc/slurm-llnl/cgroup.conf "$root"/usr/local/etc/slurm/cgroup.conf; do
    [ ! -f "$file" ] || machine "${file#"$root"}"
done
most=16777217
for file in /proc/mounts /proc/self/mountinfo; do
    machine "$file"
done
most=1048577
if [ ! -e "$root/proc/config.gz" ]; then
    if { read -r release < "$root/proc/sys/kernel/osrelease"; } 2> /dev/null; then
        if [ -e "$root/boot/config-$release" ]; then
            machine "/boot/config-$release"
        elif [ -e "$root/lib/modules/$release/config" ]; then
            machine "/lib/modules/$release/config"
        fi
    fi
fi

# How large the kernel's pages are; of a copy, what that says. The mappings of awk itself are of such pages.
page=
if [ -n "$alive" ]; then
    page=$(getconf PAGESIZE 2> /dev/null)
    case $page in
        "" | *[!0-9]*)
            page=$(awk '/^KernelPageSize:/ && (!least || $2 < least) { least = $2 } END { if (least) print least * 1024 }' \
                /proc/self/smaps 2> /dev/null)
            ;;
    esac
elif [ -e "$root/snapshot.txt" ]; then
    page=$(sed -n 's/^page size: \([0-9][0-9]*\) bytes.*/\1/p' "$root/snapshot.txt" | head -n 1)
fi

# The names of pods are those of the directories of their logs; what is in these is not copied.
pods=/var/log/pods
if [ -d "$root$pods" ]; then
    mkdir -p "$copy$pods"
    (cd "$root$pods" && find . -maxdepth 1 -type d ! -name . -print0) |
        xargs -0 -n 1000 sh -c '[ $# -eq 0 ] || { cd "$0" && mkdir -p "$@"; }' "$copy$pods"
fi

# Where cgroup file systems are mounted, in the order that kmemtrace looks: VERSION ROOT MOUNT.
mounts=$temporary/mounts
awk '{
    for (i = 6; i <= NF && $i != "-"; i++);
    version = $(i + 1) == "cgroup2" ? 2 : $(i + 1) == "cgroup" && "," $(i + 3) "," ~ /,memory,/ ? 1 : 0
    if (version) {
        at = $5
        gsub(/\\040/, " ", at); gsub(/\\011/, "\t", at); gsub(/\\134/, "\\", at)
        print version, $4, at
    }
}' "$copy/proc/self/mountinfo" > "$mounts" 2> /dev/null
number=$(awk '$1 == "memory" { print $2 }' "$copy/proc/cgroups" 2> /dev/null)
hierarchy=
version=0
while read -r kind inside mount; do
    mkdir -p "$copy$mount"
    for file in cgroup.controllers cgroup.events cgroup.subtree_control notify_on_release release_agent; do
        machine "$mount/$file"
    done
    [ -z "$hierarchy" ] && [ "$inside" = / ] || continue
    case $kind in
        1) [ "${number:-0}" -ne 0 ] || continue ;;
        2)
            [ "${number:-0}" -eq 0 ] && [ ! -e "$root$mount/cgroup.events" ] || continue
            grep -qw memory "$root$mount/cgroup.controllers" 2> /dev/null || continue
            ;;
    esac
    hierarchy=$mount
    version=$kind
done < "$mounts"

newline='
'
case $version in
    1) files="cgroup.procs memory.failcnt memory.kmem.failcnt memory.kmem.limit_in_bytes memory.kmem.slabinfo
        memory.kmem.usage_in_bytes memory.limit_in_bytes memory.stat memory.usage_in_bytes memory.use_hierarchy" ;;
    2) files="cgroup.controllers cgroup.procs cgroup.stat cgroup.subtree_control memory.current memory.max memory.stat
        memory.swap.current" ;;
    *) echo "note: no memory cgroups" >> "$notes" ;;
esac
if [ -n "$hierarchy" ]; then
    export files
    (cd "$root$hierarchy" && find . -type d -exec sh -c "$functions"'
        to=$0
        for directory do
            mkdir -p "$to/$directory"
            for file in $files; do
                if [ "$file" = memory.kmem.slabinfo ] && young "$directory" && [ -e "$directory/$file" ]; then
                    echo "not read: the cgroup is younger than a minute" > "$to/$directory/$file.error"
                else
                    one "$directory/$file" "$to/$directory/$file"
                fi
            done
        done' "$copy$hierarchy" {} +) 2> /dev/null
    if [ -e "$root/cgroup-dirs-inodes.txt" ]; then
        cat "$root/cgroup-dirs-inodes.txt" > "$copy/cgroup-dirs-inodes.txt"
    else
        (cd "$root$hierarchy" && find . -type d ! -path "*$newline*" -exec ls -di {} + 2> /dev/null) |
            sed 's/^ *//' > "$copy/cgroup-dirs-inodes.txt"
    fi
fi

# The slab caches of memcgs: all names, the sizes of so many.
sized=20000
slab=/sys/kernel/slab
# What merged caches' links lead to on 3.10.
of_one=':*-[0-9]*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]*'
names() {
    # $1: a directory below /sys/kernel/slab
    mkdir -p "$copy$slab/$1"
    find "$1" -maxdepth 1 -type l -name '*(*:*)' -print0 |
        xargs -0 -n 1000 sh -c '[ $# -eq 0 ] || cp -P "$@" "$0"' "$copy$slab/$1" 2>> "$problem"
    find "$1" -maxdepth 1 -type d \( -name '*(*:*)' -o -name "$of_one" \) -print0 |
        xargs -0 -n 1000 sh -c '[ $# -eq 0 ] || { cd "$0" && mkdir -p "$@"; }' "$copy$slab"
}
if [ -d "$root$slab" ]; then
    (
        cd "$root$slab" || exit
        names .
        find . -maxdepth 2 \( -name '*(*' -o -name "$of_one" \) -prune -o -type d -name cgroup -print |
            while IFS= read -r directory; do
                # Root caches without caches of memcgs have an empty one.
                [ -z "$(ls -A "$directory")" ] || names "$directory"
            done
    )
    (cd "$copy$slab" && find . -type d \( -name '*(*:*)' -o -name "$of_one" \) -print) > "$temporary/caches"
    [ "$(wc -l < "$temporary/caches")" -le $sized ] ||
        echo "note: of the slab caches of memcgs, $sized have their files" >> "$notes"
    head -n $sized "$temporary/caches" | while IFS= read -r cache; do
        for file in objects order slabs; do
            one "$root$slab/$cache/$file" "$copy$slab/$cache/$file"
        done
    done
fi

# The kernel log: a read gives a record, and EAGAIN after the last one.
if [ -e "$root/kmsg-raw.txt" ]; then
    cat "$root/kmsg-raw.txt" > "$copy/kmsg-raw.txt"
elif [ -c "$root/dev/kmsg" ]; then
    dd if="$root/dev/kmsg" iflag=nonblock bs=32768 count=200000 > "$copy/kmsg-raw.txt" 2> "$problem"
    if [ ! -s "$copy/kmsg-raw.txt" ] && ! grep -q "temporarily unavailable" "$problem"; then
        # A dd that cannot do that, as busybox's.
        timeout 3 cat "$root/dev/kmsg" > "$copy/kmsg-raw.txt" 2> "$problem"
    fi
    if [ ! -s "$copy/kmsg-raw.txt" ] && [ -s "$problem" ] && ! grep -q "temporarily unavailable" "$problem"; then
        rm -f "$copy/kmsg-raw.txt"
        cat "$problem" > "$copy/kmsg-raw.txt.error"
    fi
fi

# Of the logs, the lines that tell of memory cgroups: the kernel's, and those of programs that name a cgroup and an error.
patterns() {
    # Each file: of how many bytes the end is read, and its path.
    set -f
    for pattern in /var/log/dmesg /var/log/kern.log /var/log/messages /var/log/syslog /var/log/daemon.log \
        /var/log/kubelet.log /var/log/kubelet/kubelet.log /var/lib/rancher/rke/log/kubelet_*.log \
        /var/lib/rancher/rke2/agent/logs/kubelet.log /var/log/containerd.log \
        /var/lib/rancher/k3s/agent/containerd/containerd.log /var/lib/rancher/rke2/agent/containerd/containerd.log \
        /var/log/crio.log \
        /var/log/crio/crio.log /var/log/docker.log /var/log/docker /var/log/upstart/docker.log /var/log/lxc/*.log \
        /var/log/lxd/lxd.log /var/log/lxd/*/lxc.log /var/snap/lxd/common/lxd/logs/lxd.log \
        /var/snap/lxd/common/lxd/logs/*/lxc.log /var/log/incus/incusd.log /var/log/incus/*/lxc.log \
        /var/log/slurmd.log /var/log/slurm/slurmd.log /var/log/slurm/slurmd.*.log /var/log/slurm-llnl/slurmd.log \
        /var/log/nomad.log /var/log/nomad/nomad.log /var/vcap/sys/log/garden/garden.stdout.log \
        /var/vcap/sys/log/garden/garden.stderr.log /var/log/hadoop-yarn/*nodemanager*.log \
        /var/log/hadoop-yarn/yarn/*nodemanager*.log /var/log/hadoop/yarn/*nodemanager*.log \
        /var/log/isulad/isulad.log /var/log/mesos/mesos-slave.INFO /var/log/mesos/mesos-agent.INFO \
        /var/log/ecs/ecs-agent.log /var/lib/docker/containers/*/*-json.log ; do
        set +f
        end=16777216
        case $pattern in *\**) end=1048576 ;; esac
        for file in "$root"$pattern; do
            [ -f "$file" ] || continue
            case ${file#"$root"} in *:* | *"$newline"*) continue ;; esac
            printf '%s %s\n' "$end" "${file#"$root"}"
        done | sort | head -n 512
        set -f
    done
    set +f
}
day='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'
there() {
    # Those of the files that are there.
    for file do
        [ ! -f "$file" ] || printf '%s\n' "${file#"$root"}"
    done
}
rotated() {
    # The files of the log $1 that were rotated, oldest first.
    {
        there "$root$1"-$day "$root$1"-$day.gz | sort -r
        there "$root$1".[0-9] "$root$1".[0-9].gz | sort
    } | head -n 4 | awk '{ line[NR] = $0 } END { for (i = NR; i; i--) print line[i] }'
    for packed in xz bz2 zst; do
        there "$root$1"-$day."$packed" "$root$1".[0-9]."$packed" >> "$temporary/skipped"
    done
}
units() {
    set -f
    for unit in kubelet k3s k3s-agent rke2-agent rke2-server k0scontroller k0sworker snap.microk8s.daemon-containerd \
        snap.microk8s.daemon-kubelet snap.microk8s.daemon-kubelite snap.kubelet.daemon atomic-openshift-node \
        origin-node containerd crio cri-o docker snap.docker.dockerd podman lxc lxc@* lxd snap.lxd.daemon incus \
        slurmd nomad hadoop-yarn-nodemanager isulad mesos-slave mesos-agent dcos-mesos-slave ecs ; do
        echo "--unit=$unit"
    done
    set +f
}
pick() {
    # $1: its name; $2: whether all of it is there. What it is goes to heads, the lines to lines.
    name=$1 whole=$2 awk -v heads="$temporary/heads" '
        !stamped && (/[0-9][0-9]:[0-9][0-9]:[0-9][0-9]/ || /^\[[ \t]*[0-9]+\.[0-9]/ ||
            /[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]/) { stamped = 1 }
        found < 10000 && (/cgroup/ && /annot allocate memory|o space left on device|ut of memory/ ||
            /Linux version |: Unable to allocate memory on |, object size: |: slabs: |slab_out_of_memory: / ||
            / killed as a result of limit of |oom-kill:constraint=| invoked oom-killer: |emory cgroup out of memory: / ||
            /emory cgroup stats for | memory\.oom\.group set|kB, limit / ||
            NF > 1 && /[0-9]$/ && $NF ~ /^[0-9]+$/ && $(NF - 1) ~ /^(kernel|kernel_stack|pagetables|percpu|slab|sock)$/) {
            found++
            print ENVIRON["name"] ":" (ENVIRON["whole"] ? NR : "") ":" $0
        }
        END { print (stamped ? "read " : "unknown ") ENVIRON["name"] >> heads }' >> "$temporary/lines"
}
if [ -e "$root/log-lines.txt" ]; then
    cat "$root/log-lines.txt" > "$copy/log-lines.txt"
elif [ -e "$root/runtime-log.txt" ]; then
    # Of an earlier version.
    cat "$root/runtime-log.txt" > "$copy/log-lines.txt"
else
    for made in skipped heads lines; do
        : > "$temporary/$made"
    done
    patterns > "$temporary/logs"
    while read -r end log; do
        { rotated "$log"; printf '%s\n' "$log"; } > "$temporary/files"
        while IFS= read -r file; do
            [ -r "$root$file" ] || continue
            case $file in
                *.gz) gzip -dc "$root$file" 2> /dev/null | head -c "$end" | pick "$file" 1 ;;
                *)
                    whole=1
                    [ "$(wc -c < "$root$file")" -le "$end" ] || whole=
                    tail -c "$end" "$root$file" | pick "$file" "$whole"
                    ;;
            esac
        done < "$temporary/files"
    done < "$temporary/logs"
    # And of the journal, of this boot and the one before: the units of kubelet and the runtimes, and the kernel.
    if [ -z "$root" ] && command -v journalctl > /dev/null; then
        for options in "--boot=-1" "" "--dmesg --boot=-1" "--dmesg"; do
            case $options in *--boot*) boot= ;; *) boot=--boot ;; esac
            case $options in *--dmesg*) units= ;; *) units=$(units) ;; esac
            # shellcheck disable=SC2086
            timeout 5 journalctl --quiet --no-pager --output=short-iso --lines=200000 $boot $units $options \
                > "$temporary/journal" 2> /dev/null < /dev/null || continue
            [ -s "$temporary/journal" ] || continue
            pick "journalctl${options:+ $options}" 1 < "$temporary/journal"
        done
    fi
    {
        cat "$temporary/heads"
        sort "$temporary/skipped" | sed 's/^/skip /'
        head -c 15000000 "$temporary/lines"
    } > "$copy/log-lines.txt"
    [ -s "$copy/log-lines.txt" ] || rm -f "$copy/log-lines.txt"
fi

# Kubelet and the runtimes: how they were built, and the versions of those that only root can have put there.
trusted() {
    at=$1
    while :; do
        [ -n "$(find "$at" -maxdepth 0 -user 0 ! -perm -020 ! -perm -002 2> /dev/null)" ] || return 1
        [ "$at" != / ] || return 0
        at=$(dirname "$at")
    done
}
tab=$(printf '\t')
if [ -e "$root/programs.txt" ]; then
    cat "$root/programs.txt" > "$copy/programs.txt"
else
    for program in kubelet:--version hyperkube:--version runc:--version docker-runc:--version \
        docker-runc-current:--version crun:--version containerd:--version crio:--version \
        dockerd:--version dockerd-current:--version podman:--version lxc-start:--version lxd:--version slurmd:-V nomad:version gdn:--version \
        isulad:--version kata-runtime:--version mesos-agent:--version; do
        name=${program%%:*}
        for place in /usr/bin /usr/local/bin /usr/sbin /usr/local/sbin /opt/bin /opt/cni/bin /usr/libexec/docker; do
            [ -f "$root$place/$name" ] || continue
            mark=-
            # Busybox's grep ends a line at a zero byte.
            ! tr '\000' '\n' < "$root$place/$name" |
                grep -qF "kernel memory accounting disabled in this runc build" || mark=nokmem
            said=
            reason="a copy's programs are not run"
            if [ -z "$root" ]; then
                reason="not asked: others than root can write to it"
                if trusted "$place/$name"; then
                    reason="it said nothing"
                    said=$(timeout 2 env -i "$place/$name" "${program#*:}" 2> /dev/null < /dev/null | sed -n '/[^ ]/{p;q;}' | tr "$tab" ' ')
                fi
            fi
            echo "$place/$name$tab$mark$tab${said:-?$reason}" >> "$copy/programs.txt"
            break
        done
    done
fi

# What is too long is an error as well.
long() {
    find "$@" -exec sh -c 'for file do rm -f "$file"; echo "longer than $0 bytes" > "$file.error"; done' "$limit" {} +
}
limit=1048576
long "$copy" -type f -size +1048576c ! -path "$copy/proc/mounts" ! -path "$copy/proc/self/mountinfo" ! -name kmsg-raw.txt ! -path "$copy/log-lines.txt"
limit=16777216
long "$copy" -type f -size +16777216c

full=$(find "$copy" -name '*.error' -exec grep -l 'No space left on device' {} + | head -n 1)
if [ -n "$full" ] || ! head -c 65536 /dev/zero > "$temporary/room"; then
    fail "no space left in ${TMPDIR:-/tmp}: set TMPDIR to another place"
fi
{
    echo "kmemtrace snapshot, format 1"
    echo "made by kmemtrace-snapshot.sh at $(date +%s) seconds since 1970"
    [ -z "$page" ] || echo "page size: $page bytes"
    echo "could not be read (NAME.error): $(find "$copy" -name '*.error' -print | wc -l | tr -d ' ')"
    cat "$notes"
} > "$copy/snapshot.txt"
cat "$notes" >&2

# Whoever gets it can read it.
chmod -R u+rwX,go+rX "$copy"
archive() {
    { (cd "$copy" && tar -cf - .); echo $? > "$temporary/status"; } | $pack &&
        read -r status < "$temporary/status" && [ "$status" -eq 0 ]
}
if [ "$out" = - ]; then
    archive || fail "cannot write the archive"
elif [ -e "$out" ] && [ ! -f "$out" ]; then
    archive > "$out" || fail "cannot write $out"
else
    beside=$(mktemp "$out.XXXXXX") || fail "cannot write beside $out"
    archive > "$beside" || fail "cannot write $out"
    mv -f "$beside" "$out" || fail "cannot write $out"
    beside=
fi
