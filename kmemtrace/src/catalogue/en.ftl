# What `kmemtrace diagnose`, `reproduce` and `reclaim` say. The build makes names of these, and compares them and their arguments with
# zh.ftl's.

headline-healthy = ok: memory cgroups are freed when they are removed, and nothing here makes them leak
headline-few = ok: { $zombies } { $zombies ->
    [one] zombie
   *[other] zombies
 }, too few to matter; on this kernel zombies do not keep their ids
headline-at-risk = AT RISK: no zombie is seen, but kernel-memory accounting is on, and on this kernel it leaks memory cgroups
headline-piling-up = ZOMBIES: at least { $zombies } removed { $zombies ->
    [one] memory cgroup lives on
   *[other] memory cgroups live on
 }; zombies cost memory and CPU, but not their ids
headline-piling-up-untold = ZOMBIES: at least { $zombies } removed { $zombies ->
    [one] memory cgroup lives on
   *[other] memory cgroups live on
 }; unknown: whether zombies keep their ids on this kernel
headline-leaking = LEAKING: at least { $zombies } removed { $zombies ->
    [one] memory cgroup keeps its id
   *[other] memory cgroups keep their ids
 }; when all 65,535 are used, no container starts until a reboot
headline-exhausted = EXHAUSTED: the memory cgroup ids are used up, or were: containers fail with "cannot allocate memory" or "no space left on device" while there is both
headline-crowded = CROWDED: { $live } live memory cgroups use up the ids: something makes cgroups and does not remove them
headline-failing = FAILING: memory cgroups could not be made, although no leak of them is seen
headline-unknown = unknown: what could be read does not tell whether this node leaks memory cgroups
unknown-next = run it as root on the node itself, or on a copy of the node that `kmemtrace snapshot` makes; the reasons are below

npd-healthy = memory cgroups are freed
npd-at-risk = kmem accounting is on and leaks memory cgroups on this kernel
npd-piling-up = { $zombies } zombie memory { $zombies ->
    [one] cgroup
   *[other] cgroups
 }
npd-leaking = memory cgroups leak: at least { $zombies } { $zombies ->
    [one] zombie keeps its id
   *[other] zombies keep their ids
 }
npd-exhausted = memory cgroup ids are used up: no container starts; reboot needed
npd-crowded = { $live } live memory cgroups use up the ids
npd-failing = memory cgroups cannot be made
npd-unknown = cannot tell whether memory cgroups leak

title-symptoms = symptoms
title-cause = cause
title-levels = kernel-memory accounting by level
title-remedies = what to do, the most useful first
title-others = not for this node, or not known to help
label-remedies = what to do:
label-verify = how to check:
label-cost = cost:
label-risk = risk:

level = level
level-directories = cgroups
level-on = on
level-off = off
level-untold = not told
level-limited = limited
level-example = for example
level-root = root
level-kubepods = kubepods
level-qos = QoS class
level-pod = pod
level-container = container
level-other-container = other container
level-other = other

unread = not known: { $file }: { $reason }
exactly = { $number }
at-least = at least { $number }
between = { $least } to { $most }
nothing = { "" }

ids-taken = all { $capacity } ids are in use, or were ({ $peak } at one time, by the names of slab caches); { $live } live, { $zombies } seen
ids-taken-meaning = Zombies keep their ids. As long as they do, mkdir fails under the memory hierarchy, and no container starts. { $rate }
ids-full = all { $capacity } ids are in use: { $live } live, { $zombies }
ids-refused = no id is left: the kernel refuses a new memory cgroup; { $live } live, { $zombies } seen
ids-live = { $live } of { $capacity } ids are in use by live memory cgroups{ $crowd }
ids-live-meaning = This is no leak: something makes cgroups and does not remove them. mkdir fails once all ids are used. { $rate }
crowd-most = ; most in { $place }{ $maker }: { $children }, { $empty }{ $age }
crowd-empty = { $empty } of them without tasks and children
crowd-leaves = { $leaves } of them without children (unknown: whether they have tasks)
crowd-maker = { " (made by " }{ $maker })
crowd-age = , { $youngest } to { $oldest } old
ids-leaking = { $zombies }, { $live } live; { $ids } of { $capacity } ids in use
ids-leaking-meaning = Removed memory cgroups were not freed, and each keeps its id. { $rate }
ids-many-zombies = { $zombies }, { $live } live; { $ids } of { $capacity } ids in use
ids-many-zombies-meaning = This kernel takes ids back when a cgroup is removed, so they do not run out. Zombies in such numbers cost memory, reclaim time, and CPU of whatever reads statistics. { $rate }
ids-untold-meaning = Unknown: whether zombies keep their ids. The release of this kernel does not tell. If live memory cgroups and zombies together pass 65,535, zombies do not keep ids. If mkdir fails at 65,535, they do. { $rate }
ids-few-zombies = { $zombies }, { $live } live; { $ids } of { $capacity } ids in use
ids-few-zombies-meaning = Some zombies are normal while page cache of removed containers is kept. This kernel takes ids back when a cgroup is removed. { $rate }
ids-fine = no zombies that stay, { $live } live; { $ids } of { $capacity } ids in use
ids-fine-meaning = Removed memory cgroups are freed. { $rate }
ids-unknown = { $live } live; how many zombies there are cannot be told
ids-unknown-meaning = The kernel's count leaves zombies out or changes too fast. `kmemtrace watch` follows each memory cgroup. { $rate }
ids-verify = kmemtrace scan
rate = At the average since boot, { $day } ids a day, the rest lasts { $left }.
rate-traced = At the pace of the trace, { $day } ids a day, the rest lasts { $left }.
rate-used-traced = At the pace of the trace, { $day } ids a day, they last { $lasts } after a reboot.
rate-used = At the average since boot, { $day } ids a day or more, they last { $lasts } after a reboot.

fix-done = fixed: no level accounts kernel memory, and { $made } memory cgroups made just now were freed
fix-old-zombies = fixed for new memory cgroups; { $zombies } old { $zombies ->
    [one] zombie stays
   *[other] zombies stay
 } until a reboot
fix-other-zombies = not affected: { $made } memory cgroups made just now were freed; { $zombies } { $zombies ->
    [one] zombie is
   *[other] zombies are
 } there; on this kernel zombies do not keep their ids
fix-level-on = not fixed: level { $level } still accounts kernel memory ({ $on } of { $directories })
fix-level-on-meaning = Directories keep what they were made with: those from before the fix go with their pods, or with a reboot.
fix-inherited = not fixed: what is made in { $place } is accounted, as it inherits that
fix-still-leaks = not fixed: { $stayed } of { $made } memory cgroups made just now stay as zombies
fix-trial-unknown = unknown: no two counts agree whether the { $made } memory cgroups made just now were freed
fix-trial-unknown-meaning = Others make and remove cgroups meanwhile. Run `kmemtrace diagnose --verify` again when the node is quiet.
fix-no-container = unknown: no live container shows whether its runtime still switches kernel-memory accounting on
fix-no-container-but = unknown: zombies below { $place } hold kernel memory, and its own accounting is off: the runtime switched it on for them, before the fix or after it
fix-no-container-of = unknown: no live container of { $runtime } shows whether it still switches kernel-memory accounting on
fix-no-container-meaning = Start a container with this runtime, wait a minute, and run `kmemtrace diagnose --verify` again.

mkdir-not-tried = not tried; --probe makes and removes one
mkdir-copied = not known: on a copy nothing can be tried
mkdir-traced = not tried; in the trace { $count } failed to be made, from { $first } to { $last }; most: { $what } in { $place }
mkdir-traced-meaning = While that lasts, no container can start on this node.
mkdir-works-again = a memory cgroup can be made now; in the trace { $count } failed, from { $first } to { $last }
mkdir-works = a memory cgroup can be made
mkdir-fails = a memory cgroup cannot be made: { $error }
mkdir-fails-meaning = No container can start on this node.
mkdir-verify = mkdir { $mount }/x && rmdir { $mount }/x

kernel-log-clean = no failed slab allocation ({ $records } { $records ->
    [one] record
   *[other] records
 })
log-boot = { $time } after boot
log-date = { $time }
log-untold = at an unknown time
log-span-boot = from { $first } to { $last } after boot
log-span = from { $first } to { $last }
log-before = ; { $count } of them before this boot
log-before-all = ; before this boot
kernel-log-failures = { $failures } failed slab { $failures ->
    [one] allocation
   *[other] allocations
 } in { $groups } { $groups ->
    [one] group
   *[other] groups
 }, { $span }{ $before }; most of { $cache }{ $cgroup }: { $most }{ $more }
kernel-log-suppressed = ; at least { $more } more not logged (rate limit)
of-cgroup = { " of cgroup " }{ $cgroup }
kernel-log-limit = A cache with a cgroup's name was refused by that cgroup's kernel-memory limit, or by its memory limit: the node itself has memory. The log's rate limit lets only some of them through.
kernel-log-failures-meaning = The kernel could not get memory for its own objects. If there is memory free, a memory cgroup's limit refused it. The log's rate limit lets only some of them through.
kernel-log-verify = dmesg | grep -A2 'SL[AU]B: Unable to allocate memory'

trace-clean = no failed slab allocation in { $watched } of { $files }
trace-slab = { $count } failed slab { $count ->
    [one] allocation
   *[other] allocations
 } in { $watched } of { $files }, from { $first } to { $last }; most of { $cache }: { $most }
trace-slab-meaning = The kernel could not get memory for its own objects, or a memory cgroup's limit refused it.

memcg-oom-none = no process was killed at a memory cgroup's limit
memcg-oom-killed = { $killed } { $killed ->
    [one] process was
   *[other] processes were
 } killed at the limits of { $groups } { $groups ->
    [one] memory cgroup
   *[other] memory cgroups
 }, last { $last }{ $before }; most at { $cgroup }: { $most }{ $kernel }
memcg-oom-unnamed = an unknown memory cgroup
memcg-oom-kernel = . Kernel memory filled it: { $kernel } of { $limit }
memcg-oom-kernel-of = . Kernel memory filled { $cgroup }: { $kernel } of { $limit }
memcg-oom-kernel-part = . Kernel memory was at most { $kernel } of { $limit }
memcg-oom-meaning = A container is killed when it uses up its limit. Kernel memory counts against it where accounting is on; the log does not say how much that was.
memcg-oom-own-meaning = These containers used up their own limits. Kernel memory was the smaller part: this is not the leak.
memcg-oom-kernel-meaning = Kernel memory filled the limit, not the memory of the processes: slab (such as dentries and inodes), kernel stacks, page tables. It counts where kernel memory is accounted. Switching accounting off ends it; dropping caches frees some for a while.

runtime-log-clean = no failed mkdir of a memory cgroup in { $files }{ $skipped }
runtime-log-errors = { $failed } failed { $failed ->
    [one] mkdir of a memory cgroup
   *[other] mkdirs of memory cgroups
 }: { $programs } ({ $files }){ $before }{ $skipped }
runtime-log-skipped = ; not read: { $first } and the like, { $files } in all (compressed, not by gzip)
runtime-log-meaning = Most likely no memory cgroup id was left at those times: the kernel says ENOSPC or ENOMEM then, by its version. ENOMEM also comes from a memory limit of a cgroup above. Disk space is not the cause, nor is memory if the node has memory free.
runtime-log-meaning-freed = On this kernel zombies do not use up ids. ENOMEM comes from a memory limit of a cgroup above; ENOSPC from live cgroups that use up the ids.

free-memory-plenty = { $available } of { $total } can be had
free-memory-plenty-meaning = If memory cannot be allocated even so, it is not memory that lacks.
free-memory-scarce = only { $available } of { $total } can be had
free-memory-scarce-meaning = Failed allocations may be just that: too little memory.

kernel-is = { $release } ({ $vendor })
kernel-unknown = { $release }: what this kernel does with zombies is not known
vendor = { $vendor }
vendor-or-rebuild = { $vendor } or a rebuild
vendor-untold = vendor unknown
known-by-sign = (seen here)
known-by-count = (by the count of memory cgroups)
known-by-release = (by its release)
era-not-accounted = Before 3.8 kernel memory is not accounted to memory cgroups. { $known }
era-opt-in = Where kernel-memory accounting is switched on for a memory cgroup, it is not freed while a slab cache of its own holds an object, and keeps its id until then: for ever, in practice. { $known }
era-opt-in-page-cache = Zombies keep their ids until they are freed. Page cache pins them (since 3.19); where kernel-memory accounting is switched on, slab caches do as well. { $known }
era-opt-in-frees-ids = Ids are given back when a cgroup is removed: this kernel has the fix of 4.8 (73f576c04b94). Where kernel-memory accounting is switched on, slab caches pin zombies; page cache pins them everywhere. { $known }
era-opt-in-untold = Where kernel-memory accounting is switched on, slab caches pin zombies; from 3.19 on page cache pins them everywhere. Unknown: whether zombies keep their ids (the fix of 4.8 went to some stable and vendor kernels). { $known }
era-keeps-ids = 4.5 to 4.7 account kernel memory by default, and zombies keep their ids. { $known }
era-default-untold = 4.5 to 4.7 account kernel memory by default. Unknown: whether zombies keep their ids (the fix of 4.8 went to some stable and vendor kernels). { $known }
era-frees-ids = Ids are given back when a cgroup is removed (since 4.8). Slab caches and page cache can still pin zombies. { $known }
era-reparents-slab = Ids are given back when a cgroup is removed, and slab goes to its parent (5.3 to 7.0, and RHEL 8). Page cache and tmpfs files can still pin zombies. { $known }
era-reparents-all = Slab and page cache go to the parent when a cgroup is removed (since 7.1). Sockets, swap and writeback can still pin zombies. { $known }

built-in = kernel-memory accounting is built in
not-built-in = kernel-memory accounting is not built in: nothing can switch it on

command-line-nothing = nothing about memory cgroups on the kernel's command line
command-line-words = on the kernel's command line: { $words }
command-line-nokmem = kernel-memory accounting is switched off at boot: { $words }
command-line-ignored = { $words } is on the kernel's command line, and accounting is on all the same
command-line-ignored-meaning = This kernel does not know that option: el7 builds know it from 1127 on, at the latest; 514 does not.

configured-not-in-force = { $words } is in { $file }, and the running kernel does not have it
configured-meaning = The boot loader's configuration was not made again after that change, or the node was not rebooted since.
configured-reboot = The node was not rebooted since that change.
configured-verify = cat /proc/cmdline

accounting-none = this kernel does not account kernel memory
accounting-off = kernel memory is not accounted here
accounting-default = the kernel accounts kernel memory by itself; nobody has to switch it on
accounting-both = kubelet and runc both switched kernel-memory accounting on
accounting-both-meaning = Directories that kubelet makes have it on, and so have containers whose parent has it off. Both have to be replaced, or the kernel told to leave it.
accounting-kubelet = kubelet switched kernel-memory accounting on
accounting-kubelet-not-runc = Directories that kubelet makes have it on; a container elsewhere has it off, so runc does not switch it on. Containers in pods inherit it.
accounting-kubelet-and-maybe-runc = Directories that kubelet makes have it on. Containers inherit it, so whether runc switches it on as well cannot be seen here: a container that is in no pod would tell (docker run).
accounting-runc = runc switched kernel-memory accounting on
accounting-runc-not-kubelet = Containers have it on; directories that kubelet makes have it off.
accounting-runc-meaning = Containers have it on, and their parents off.
accounting-by = { $who } switched kernel-memory accounting on
accounting-by-meaning = Cgroups of theirs have it on, and the cgroups above them have it off. Cgroups made below inherit it.
maker-unit = something in a systemd unit
maker-unknown = something else (by hand, or a script)
accounting-nobody = nobody switched kernel-memory accounting on
accounting-nobody-meaning = There are containers, and they have it off. Zombies can only be from earlier.
accounting-removed = kernel-memory accounting was on in removed memory cgroups; unknown: who switched it on
accounting-removed-meaning = Slab caches of removed memory cgroups are left, and only cgroups with accounting on have such. No live cgroup tells who switches it on: kubelet, or runc.
accounting-no-container = no cgroup has kernel-memory accounting on
accounting-no-container-meaning = There is no container now, so what runc would do cannot be seen.
accounting-untold = not known: this kernel does not tell where accounting is on
accounting-untold-meaning = Slab caches in the memory.kmem.slabinfo of a cgroup would tell, or an I/O error in the root's.
accounting-verify = cat /sys/fs/cgroup/memory/kubepods/memory.kmem.slabinfo: an I/O error means off, slab caches mean on

programs-none = no kubelet and no container runtime where programs usually are
programs-found = found: { $programs }
programs-marked = found: { $programs }; built without kernel-memory accounting: { $marked }

slabinfo-caches = { $caches ->
    [one] { $caches } slab cache
   *[other] { $caches } slab caches
}
slabinfo-header = a header and no slab caches
slabinfo-inactive = input/output error
slabinfo-empty = empty
slabinfo-absent = no such file
slabinfo-unread = cannot be read
slabinfo-young = not read: the cgroup is younger than a minute, and some kernels hang when it is read too early
slabinfo-unasked = not read
slab-named = caches named CACHE(ID:{ $cgroup })
slab-names = CACHE(ID:LEAF) of { $removed } removed cgroups
slab-peak = the highest ID in CACHE(ID:LEAF) is { $id }
kmem-held = { $held } more than the directories below have
mkdir-said = mkdir: { $error }
kernel-log-group = { $line }  [{ $cache } x { $count }{ $sizes }{ $before }]
kernel-log-sizes = , object size { $size }, order { $order }
traced-mkdir = mkdir { $path }: { $error }
traced-mkdir-by = mkdir { $path }: { $error } by { $task }
traced-slab = no object of slab cache { $cache }
fix-trial = { $made } made and removed, { $stayed } stayed
fix-trial-untold = { $made } made and removed; unknown: how many stayed
program-version-untold = version not known: { $reason }
program-marked = { $version }; built with nokmem
program-mark-untold = { $version }; { $reason }

nokmem-without-grubby = # or, without grubby: { $command }
nokmem-other = # how this distribution sets the kernel command line is unknown; with GRUB:
nokmem-wsl = # in %UserProfile%\.wslconfig, section [wsl2]:
nokmem-talos = # takes effect with the next upgrade, also to the same version:
nokmem-cos = # Container-Optimized OS: the image sets the kernel command line, and a change does not survive an update: use another image
nokmem-openshift = # with OpenShift: kernelArguments of a MachineConfig; without:
nokmem-nixos = # in configuration.nix:
kubelet-before = # 1.13 and before: let EnableKernelMemoryAccounting and setKernelMemory do nothing but `return nil`, then make:
kubelet-from = # 1.14 to 1.21; from 1.22 on it is so anyway:
kubelet-reboot = # directories keep what they were made with:
runc-update = # 1.0.0-rc94 and later never switch it on: there updating runc (package containerd.io, or runc) is enough
runc-commit = # COMMIT is what runc --version names:
runc-containers = # containers keep what they were made with:
newer-kernel-el7 = # RHEL or CentOS 7: move the node to release 8 or later, or install a newer kernel (ELRepo's kernel-lt):
newer-kernel-install = # install a newer kernel of this distribution, then:
newer-kernel-image = # the kernel comes with the image: update it to a newer one
newer-kernel-openshift = # the kernel comes with OpenShift: update the cluster
newer-kernel-service-pack = # the next service pack has a newer kernel:
newer-kernel-al1 = # Amazon Linux 1 has no newer kernel: move the node to Amazon Linux 2023
newer-kernel-ubuntu = # in a cloud: linux-aws, linux-azure or linux-gcp, with -hwe on 16.04; a newer release of Ubuntu has newer ones
newer-kernel-ubuntu-release = # this release of Ubuntu has no newer kernel: move the node to a newer one
newer-kernel-backports = # with backports in /etc/apt/sources.list; without, a newer release of Debian:

pins-no-zombies = no zombies, so nothing pins any
pins-kernel-memory = zombies hold at least { $held } of kernel memory
pins-caches = slab caches of { $memcgs } removed memory { $memcgs ->
    [one] cgroup
   *[other] cgroups
 }
pins-caches-and-kernel-memory = slab caches of { $memcgs } removed memory { $memcgs ->
    [one] cgroup
   *[other] cgroups
 }; zombies hold at least { $held } of kernel memory
pins-kernel-memory-untold = not known: kernel memory of removed cgroups cannot be added up here
pins-held = below { $directories } { $directories ->
    [one] cgroup
   *[other] cgroups
 }, zombies hold at least: { $held }
pins-nothing-seen = unknown: the memory usage of live cgroups does not show what zombies hold ({ $blind } { $blind ->
    [one] cgroup has
   *[other] cgroups have
 } tasks)
pins-walked = { $zombies } { $zombies ->
    [one] zombie
   *[other] zombies
 } in the kernel's own tree: { $pins }
pins-walk = { $memcgs } memory cgroups found, { $zombies } of them removed
pins-meaning = Page cache can be reclaimed; tmpfs files have to be removed, sockets closed, processes ended.
pins-meaning-slab = Page cache and unused slab objects (dentries, inodes) can be reclaimed; tmpfs files have to be removed, sockets closed, processes ended.

remedy-shrink-caches = give back the slab caches of removed memory cgroups
remedy-shrink-caches-cost = none: no reboot, no drain; it takes a moment for each cache
remedy-shrink-caches-risk = low: only caches without a live cgroup are written to; it frees what is unused, and more will leak as long as accounting is on
remedy-shrink-caches-verify = kmemtrace scan
shrink-why = { $zombies } { $zombies ->
    [one] zombie is
   *[other] zombies are
 } seen by their slab caches; zombies hold { $held } of kernel memory. On 3.10.0-514, 993 of 995 such were freed so, on 4.14 92 of 98.
shrink-why-not = no slab cache of a removed memory cgroup is seen

remedy-nokmem-boot = tell the kernel to leave kernel-memory accounting off
remedy-nokmem-boot-cost = one reboot of the node, and so a drain; nothing is rebuilt
remedy-nokmem-boot-risk = low: kernel memory no longer counts in containers' limits; a container that asks for a kernel-memory limit fails to start
remedy-nokmem-boot-verify = after the reboot: grep nokmem /proc/cmdline; kmemtrace diagnose
nokmem-configured = it is configured and not in force: make the boot loader's configuration again, and reboot
nokmem-make = # make the boot loader's configuration again:
nokmem-why = it stops kubelet and runc alike
nokmem-given = it is on the command line already
nokmem-ignored = it is on the command line, and this kernel does not know it
nokmem-update = el7 builds from 1127 on understand it: update the kernel package first
nokmem-too-old = this kernel is older than those that understand it: el7 builds from 1127 on, other kernels from 4.5 on
nokmem-untold = unknown: whether this kernel understands it; el7 builds do from 1127 on at the latest (514 does not), other kernels from 4.5 on; where they do, `grep -w cgroup_memory /proc/kallsyms` finds a function
nokmem-nothing-on = accounting is not switched on
nokmem-not-needed = on this kernel accounting does not leak ids

remedy-kubelet-nokmem = a kubelet that does not switch accounting on
remedy-kubelet-nokmem-cost = a build of kubelet, a drain and a reboot of the node
remedy-kubelet-nokmem-risk = medium: a kubelet of one's own has to be built again for each update; Kubernetes 1.22 and later need nothing of the kind
remedy-kubelet-nokmem-verify = cat /sys/fs/cgroup/memory/kubepods/memory.kmem.slabinfo gives an I/O error; kmemtrace diagnose
kubelet-why = kubelet switched it on
kubelet-perhaps = removed cgroups had accounting on; unknown: whether kubelet switched it on
kubelet-not-on = kubelet did not switch it on
kubelet-marked = this kubelet is built so; what is on was made before, or by another
kubelet-not-needed = on this kernel accounting does not leak because of kubelet

remedy-runc-nokmem = a runc that does not switch accounting on; docker's own containers need it as well
remedy-runc-nokmem-cost = an update or a build of runc, and a restart of all containers
remedy-runc-nokmem-risk = low: a container that asks for a kernel-memory limit fails to start
remedy-runc-nokmem-verify = docker run a container, then read its memory.kmem.slabinfo: an I/O error
runc-why = runc switched it on
runc-perhaps = whether runc switches it on cannot be seen here, as containers inherit it
runc-not-on = runc did not switch it on
runc-marked = this runc is built so
runc-marked-but-on = this runc is built so, and containers have it on: they are from before, or another runc made them
runc-not-needed = on this kernel accounting does not leak because of runc

remedy-newer-kernel = a newer kernel
remedy-newer-kernel-cost = a kernel update and a reboot of the node, and so a drain
remedy-newer-kernel-risk = medium: another kernel has other drivers and other bugs; try it on one node
remedy-newer-kernel-verify = uname -r; kmemtrace diagnose
newer-kernel-crowded = live cgroups use up the ids of any kernel
newer-kernel-why = from 4.8 on zombies give their ids back, from 5.3 on slab does not pin them
newer-kernel-nothing-on = accounting is not switched on
newer-kernel-fewer = from 5.3 on slab does not pin zombies, from 7.1 on page cache does not either
newer-kernel-page-cache = from 7.1 on page cache does not pin zombies
newer-kernel-not-needed = this kernel does not leak ids

remedy-reclaim-memory = reclaim what zombies hold
remedy-reclaim-memory-cost = none: no reboot, no drain; page cache has to be read again from disk
remedy-reclaim-memory-risk = low; with --drop-caches the whole node's page cache goes, and is slow for a while
remedy-reclaim-memory-verify = kmemtrace scan
reclaim-why = { $file } of page cache is seen and can be reclaimed; { $shmem } of tmpfs is freed only with its files
reclaim-why-untold = page cache pins zombies on this kernel; unknown: how much they hold
reclaim-why-slab = zombies hold { $kernel } of slab and other kernel memory and { $file } of page cache: memory.force_empty, memory.reclaim or drop_caches frees unused dentries, inodes and pages; { $shmem } of tmpfs is freed only with its files
reclaim-no-use = slab caches pin the zombies of this kernel, page cache does not: see shrink-caches
reclaim-not-needed = there are not many zombies that page cache pins

remedy-reboot = reboot the node: a stop-gap
remedy-reboot-cost = a drain and a reboot
remedy-reboot-risk = low; it comes back as long as the cause stays
remedy-reboot-verify = kmemtrace scan

remedy-remove-empty = remove empty memory cgroups, and fix what makes them
remedy-remove-empty-cost = none: no reboot, no drain
remedy-remove-empty-risk = low: the kernel refuses to remove a cgroup with tasks or children; younger ones than an hour stay, since their maker may be about to use them
remedy-remove-empty-verify = kmemtrace scan
remove-empty-why = { $children } cgroups in { $place }{ $maker }, { $empty }
remove-empty-who = # which program makes them, while it does (comm):

remedy-memcg-reaper = switch on the kernel's own reaper of zombies
remedy-memcg-reaper-cost = none: no reboot, no drain; a kernel thread scans page cache in the background
remedy-memcg-reaper-risk = low: page cache of zombies is read again from disk when it is needed
remedy-memcg-reaper-verify = kmemtrace scan, after some minutes
memcg-reaper-why = this kernel has one (memcg_reaper), and it is off
memcg-reaper-on = it is on already
memcg-reaper-few = there are few zombies

remedy-runtime-setting = set { $setting }=no for { $runtime }
remedy-runtime-setting-cost = a drain and a reboot of the node
remedy-runtime-setting-risk = low: kernel memory no longer has a limit of its own
remedy-runtime-setting-verify = after the reboot and a job: kmemtrace diagnose
runtime-setting-why = { $runtime } switched accounting on for its cgroups
runtime-setting-done = { $line } is in { $file } already: cgroups made before keep accounting until { $runtime } restarts and the node reboots

remedy-runtime-update = update { $runtime } to { $version } or later
remedy-runtime-update-cost = an update, a drain and a reboot of the node
remedy-runtime-update-risk = low: kernel memory no longer counts in the limits of its containers
remedy-runtime-update-verify = after the reboot: kmemtrace diagnose
runtime-update-why = { $runtime } switched accounting on for its cgroups; from { $version } on it does not
runtime-update-how = # update { $runtime } to { $version } or later, the way it was installed; then:
reboot-why = it gives all ids back. At { $day } ids a day that lasts for { $lasts }
reboot-why-traced = it gives all ids back. At { $day } ids a day, as in the trace, that lasts for { $lasts }
reboot-why-untimed = it gives all ids back; how long that lasts cannot be told, as the leak's rate is not known
reboot-not-needed = no ids are lost

zombies = { $number } { $number ->
    [one] zombie
   *[other] zombies
 }
zombies-at-least = at least { $number } { $number ->
    [one] zombie
   *[other] zombies
 }
comma = { ", " }
colon = { ": " }
semicolon = { "; " }
note = note
held-file = { $bytes } page cache
held-shmem = { $bytes } tmpfs
held-anon = { $bytes } anonymous
held-slab = { $bytes } slab
held-sock = { $bytes } sockets
held-kernel = { $bytes } kernel memory
held-other = { $bytes } other memory
held-slab-and-kernel = { $bytes } slab and other kernel memory
held-kernel-perhaps = { $bytes } kernel memory (unknown whether it pins zombies on this kernel)
held-caches = slab caches of { $memcgs } removed memory { $memcgs ->
    [one] cgroup
   *[other] cgroups
 }
held-swap-backed = { $bytes } tmpfs or anonymous memory
held-untold = { $bytes } of unknown kind

pinned = { $zombies } by { $pin }
pinned-held = { $zombies } by { $pin } ({ $held })
pin-page-cache = page cache
pin-tmpfs = files on a tmpfs or shared memory
pin-anonymous = tmpfs or anonymous memory
pin-unevictable = locked pages
pin-swap = swap
pin-sockets = sockets
pin-children = zombies below them
pin-references = references (a socket, an inode, a process)
pin-untold = nothing that tells
pin-more = { $first }, { $rest }

reproduce-none = unknown: no memory cgroup was made
reproduce-ok = ok: all of { $made } memory cgroups were freed after their removal, with { $kind } charged to them
reproduce-freed = ZOMBIES: { $stayed } of { $made } memory cgroups stayed with { $kind } charged to them, and were freed once that was gone
reproduce-leak = LEAK: { $left } of { $made } memory cgroups are not freed, with { $kind } charged to them, also after the caches were dropped
reproduce-not-dropped = ZOMBIES: { $left } of { $made } memory cgroups are not freed, with { $kind } charged to them; cached dentries, inodes and pages may pin them: --reclaim drops the caches to see
reproduce-left-unknown = ZOMBIES: { $stayed } of { $made } memory cgroups stayed with { $kind } charged to them; unknown: how many are left
reproduce-unknown = unknown: no two counts agree about the zombies among { $made } memory cgroups, with { $kind } charged to them
reproduce-counts = unknown: { $counts }
counts-walked = { $number } in the kernel's tree
counts-dying = { $number } in nr_dying_descendants
counts-machine = { $number } more on the whole machine
counts-machine-fewer = { $number } fewer on the whole machine
counts-named = { $number } with slab caches
counts-memory = { $bytes } memory in all
reproduce-not-accounted = kernel memory is not accounted to these cgroups: this does not test slab
reproduce-accounting-untold = whether kernel memory is accounted to these cgroups is unknown
reproduce-not-removed = { $count } memory cgroups could not be removed: { $reason }
reproduce-kernel = kernel
reproduce-hierarchy = hierarchy
reproduce-accounting = accounting
reproduce-switched-on = memory.kmem.limit_in_bytes written to, as runc does
reproduce-by-default = as the kernel does it by itself
reproduce-whole-machine = this kernel counts zombies of the whole machine: others' may have come or gone meanwhile
reproduce-interrupted = it was interrupted: not all was made
reproduce-step = { $zombies } after { $time }
reproduce-step-held = { $zombies } after { $time }, which hold { $held }
reproduce-pinned = pinned: { $pins }
reproduce-walk-refused = what keeps each zombie is not seen: { $reason }
reproduce-ask = Pods run on this node. Make up to { $count } memory cgroups that may stay as zombies until a reboot? [y/N]
reproduce-making = memory cgroups
reproduce-waiting = waiting for zombies to go
done-removed = cgroups removed
done-dropped = caches dropped
done-closed = sockets closed
done-files = files removed
done-shrunk = slab caches shrunk
workload-dentries = dentries
workload-inodes = inodes
workload-page-cache = page cache
workload-tmpfs = tmpfs files
workload-sockets = sockets

reclaim-none = ok: no zombies, so nothing to free
reclaim-untold = unknown: this kernel does not count all zombies, and none is visible
reclaim-dry-run = dry run: { $zombies }; --apply tries these steps, in this order
reclaim-dry-run-nothing = dry run: { $zombies }; --apply has no step to try
reclaim-all-gone = ok: { $zombies ->
    [one] the zombie is freed
   *[other] all { $zombies } zombies are freed
 }
reclaim-some-gone = { $gone } of { $zombies } zombies { $gone ->
    [one] is
   *[other] are
 } freed; left: { $left }
reclaim-none-gone = none is freed: { $left }
reclaim-more = unknown how many are freed: { $before } before; others were added meanwhile, now { $left }
reclaim-before = before
reclaim-counted = { $zombies }; charged beyond live children: { $held }
reclaim-not-planned = not planned
reclaim-left = left
reclaim-not-freed = not freed by { $steps }
reclaim-not-tried = not tried: { $steps }
reclaim-untried = { $step } ({ $why })
reclaim-why-no-caches = no slab cache of a removed memory cgroup is visible
reclaim-why-no-pages = page cache pins no zombie on this kernel
reclaim-why-unread = what zombies hold cannot be read
reclaim-why-nothing-held = no live cgroup without tasks is charged more than its children
reclaim-why-tasks = tasks run below every cgroup with zombies
reclaim-why-no-file = this kernel has no such file
reclaim-why-not-asked = --drop-caches
reclaim-why-refused = { $reason }
reclaim-why-interrupted = interrupted
reclaim-why-time = time is up: --for
reclaim-ended-interrupted = interrupted: not all was written
reclaim-ended-time = time is up: not all was written
reclaim-shrink = 1 to { $writes } slab { $writes ->
    [one] cache
   *[other] caches
 } of { $targets } { $targets ->
    [one] zombie
   *[other] zombies
 }
reclaim-again = again:{" "}
reclaim-reclaim = memory below { $targets } { $targets ->
    [one] cgroup
   *[other] cgroups
 }
reclaim-drop-caches = 3 to /proc/sys/vm/drop_caches
reclaim-most = at most { $bytes }
reclaim-left-out = { $number } left out by --max
reclaim-then = ; then { $counts }
reclaim-failed = { $failed } { $failed ->
    [one] write
   *[other] writes
 } failed, the first: { $reason }
reclaim-shrinking = shrinking slab caches
reclaim-reclaiming = reclaiming memory
reclaim-dropping = dropping caches

reason-failed = { $what }: { $error }
reason-unreadable = cannot be read
reason-cut-short = it cannot be read to its end
reason-no-file = no such file
reason-untold = it does not say
reason-too-many = more than { $number } directories
reason-root-alone = no directory with a memory.stat but the root
reason-no-log = no log of a runtime or of a syslog
reason-no-time = no line with a time in it
reason-no-kernel-log = no line of a kernel log in it
reason-no-meminfo = no MemTotal or no MemAvailable
reason-no-id = no ID
reason-no-config = no word of CONFIG_MEMCG
reason-not-asked = not asked, as --no-exec says
reason-copied = a copy's programs are not run
reason-writable = not asked: others than root can write { $place }
reason-said-nothing = it said nothing
reason-took-too-long = it took too long
reason-no-output = cannot read its output
reason-status = it failed: { $status }
reason-no-run = no run in it
reason-other-node = it is of another node: { $node }
reason-not-in-trace = the trace does not tell
reason-rolled-back = rolled back

no-memory-unread = /proc/self/mountinfo cannot be read
no-memory-disabled = the memory controller is disabled (cgroup_disable=memory)
no-memory-v1-not-mounted = the memory controller is in v1 hierarchy { $hierarchy }, which is not mounted here
no-memory-part = only a part of the memory controller's hierarchy can be seen here, as in a container
no-memory-not-on-v2 = the v2 hierarchy that is mounted here has no memory controller
no-memory-not-mounted = no cgroup file system with the memory controller is mounted here

# What the system says of an error, by errno.h; others are said in its own words.
errno-perm = Operation not permitted (os error 1)
errno-noent = No such file or directory (os error 2)
errno-io = Input/output error (os error 5)
errno-again = Resource temporarily unavailable (os error 11)
errno-nomem = Cannot allocate memory (os error 12)
errno-acces = Permission denied (os error 13)
errno-busy = Device or resource busy (os error 16)
errno-exist = File exists (os error 17)
errno-nodev = No such device (os error 19)
errno-notdir = Not a directory (os error 20)
errno-isdir = Is a directory (os error 21)
errno-inval = Invalid argument (os error 22)
errno-mfile = Too many open files (os error 24)
errno-nospc = No space left on device (os error 28)
errno-rofs = Read-only file system (os error 30)
errno-nosys = Function not implemented (os error 38)
errno-opnotsupp = Operation not supported (os error 95)

# The page of `kmemtrace report`.

page-node-unnamed = a node without a name
page-no-run = could not tell: the trace holds no run
page-when = { $node }, kernel { $kernel }, watched for { $watched }{ $runs }, from { $from } to { $to } UTC
page-in-runs = { " in " }{ $runs } runs
page-not-known = not known
page-objects-of = objects of { $bytes } bytes
page-errno = errno { $errno }
page-errno-unknown = error not known
page-note-more = and { $number } { $number ->
    [one] line
   *[other] lines
 } more
page-note-torn = { $file } ends in the middle of a line, as when its writer was killed
page-note-newer = ignored what a newer version wrote: { $lines } { $lines ->
    [one] line
   *[other] lines
 } and { $fields } { $fields ->
    [one] field
   *[other] fields
 }
page-numbers = Numbers
page-over-time = Over time
page-live = live
page-zombies = zombies
page-leaked = leaked
page-ids-left = ids left
page-events-lost = events may have been lost
page-unwatched = nobody watched
page-diagnosis = Diagnosis and what to do
page-untold = It is made of this trace alone, which does not tell of: { $findings }. On the node <code>kmemtrace diagnose</code> does.
page-takes = takes
page-risk = risk
page-check = check
page-who = Who leaks
page-nobody = Nothing was called leaked.
page-pace = { $number } an hour were called leaked, in all.{ " " }
page-no-names = The trace does not tell a pod's name, its namespace and its images.
page-leaked-and-left = leaked and left
page-called-leaked = called leaked
page-an-hour = an hour
page-freed-after-all = freed after all
page-removed = removed
page-charged = charged
page-last = last
page-time = when
page-more = and { $number } more
page-lived = How long zombies lived
page-no-end = No end was seen, and none is left.
page-delays = half of them within { $p50 }, 90 of 100 within { $p90 }, 99 of 100 within { $p99 }, the last after { $max }
page-from-removal = From removal to free{ $delays }. Those that are left are as old as the end of their run. Older than the grace time ({ $grace }) is called leaked.
page-lived-head = lived
page-freed = freed
page-over = over { $time }
page-from-to = { $from } to { $to }
page-pins = What pins them
page-no-pins = Nothing that was called leaked, and has a name here, is left.
page-held-by = held by
page-what = what
page-usage = When they were removed, or seen first, { $usage } were charged to them.
page-pin-untold = not told by this trace
page-pin-nothing = not told by this trace; nothing was charged at removal
page-objects = { $number } { $number ->
    [one] object
   *[other] objects
 }
page-would-free = reclaim would free { $number }
page-pin-tmpfs = tmpfs
page-pin-anonymous = tmpfs or anon
page-pin-unevictable = unevictable
page-pin-children = children
page-pin-references = references
page-pin-slab = slab caches
page-failed = What failed
page-no-failures = No slab allocation and no mkdir was seen to fail.
page-cache-or-error = cache or error
page-where = where
page-last-task = last task
page-times = times
page-first-utc = first, UTC
page-last-utc = last, UTC
page-slab-allocation = slab allocation
page-missing = What may be missing
page-no-gaps = No event was lost.
page-from-utc = from, UTC
page-to-utc = to, UTC
page-lasted = lasted
page-records-lost = records lost
page-why = why
page-every = Every leaked memory cgroup
page-none-named = None has a name here.
page-search = Search
page-search-hint = path, owner, state, what holds it, task, id
page-without-script = { $number } in all; without a script the first of them
page-cgroup = cgroup
page-owner = owner
page-state = state
page-zombie-for = zombie for
page-removed-utc = removed, UTC
page-holds = holds
page-memcg-id = memcg id
page-node-and-trace = The node and the trace
page-hook = hook
page-seen-by = seen by
page-unseen-so = what cannot be seen so
page-better-ways = better ways, refused
page-not-seen = not seen
page-runs = Runs
page-run = run
page-began-utc = began, UTC
page-fact-node = node
page-fact-boot = boot
page-fact-source = source
page-zombies-at-end = zombies at its end
page-at-the-end = at the end
page-inherited = { $number } were there before
page-memory-cgroups = memory cgroups
page-at-most-ids = at most, of 65,535
page-about-ids = about, of 65,535
page-number-freed-after-all = { $number } freed after all
page-number-freed = { $number } freed
page-slab-failures = slab failures
page-failed-mkdirs = failed mkdirs
page-not-logged = { $number } more not logged (rate limit)
page-gaps = gaps
page-lost = { $number } { $number ->
    [one] record
   *[other] records
 } lost
page-chart-timeline = Live memory cgroups, zombies, leaked ones, ids left and failures over time
page-chart-forecast = Memory cgroup ids left, and when there is none
page-gap-ring = the ring buffer was full
page-gap-recursion = the kernel skipped a program that was already running
page-gap-record = a record could not be understood
page-gap-log = the kernel log was overwritten before it was read
page-gap-poll = a poll came late, or could not read what is there
page-gap-trace = the kernel's trace lost events
page-gap-contradicted = the kernel counts fewer zombies
page-ids-taken-back = This kernel takes a removed memory cgroup's id back at once, unless pages of it are in swap (Linux 4.8 and later): zombies cost memory and time, and hardly any ids.
page-ids-kept = On this kernel a zombie keeps its id until it is freed.
page-ids-untold = Whether this kernel lets zombies keep their ids is not known; taken that it does:
page-ids-no-forecast = { $keep } There is no forecast: too few leaked in the last run, or it was too short.
page-ids-all = { $keep } { $used } of 65,535 are in use: no cgroup can be made.
page-ids-range = in { $soonest } to { $latest } after the end, between { $from } and { $to } UTC
page-ids-about = in { $soonest } after the end, about { $from } UTC
page-ids-forecast = { $keep } { $used } of 65,535 are in use, at least, and { $number } more an hour: at this pace none is left { $range }. Then no cgroup can be made.
page-another-century = another century
page-state-suspected = suspected
page-state-unseen = not seen any more
page-state-by-count = { "," } by count: { $zombies } of { $candidates }
page-state-gap = { "," } across a gap
page-state-run = { "," } at the end of run { $run }
page-fact-kernel = kernel
page-fact-cmdline = kernel command line
page-cmdline-nothing = nothing that matters to memory cgroups
page-fact-cgroups = cgroups
page-fact-page-size = page size
page-fact-refused = better sources, refused
page-fact-grace = grace time
page-fact-hold = zombies hold
page-of-kernel-memory = { $held } of kernel memory
page-fact-peak = at one time
page-peak = at least { $number } memory { $number ->
    [one] cgroup
   *[other] cgroups
 } with kernel memory, dead or alive
page-unproven = whether { $number } removed memory cgroups were freed
page-fact-recorder = recorded by
page-left-out = { $number } more are not listed: they were freed later, or there are too many
page-unseen = { $number } more were called leaked by the kernel's count alone and have no names
page-worst-pods = Worst pods
page-pod = pod
page-others = Units, containers outside pods, jobs, and directories
page-suspected = Suspected: the kernel's count tells how many leaked, not whose
page-at-most = at most { $number }
page-by-kind = By kind
page-kind = kind
page-pods-class = pods, { $class }
page-pods = pods
page-containers = containers outside pods
page-units = systemd units
page-directories = other directories
page-path-unknown = path not known
page-all-others = all others
page-below = below this directory
page-container = container
page-unit = unit
page-owner-unknown = unknown
page-owner-others = others
page-row-path = path
page-row-charged = charged then
page-row-caches = slab caches
page-row-cgroup-id = cgroup id
page-row-made-by = made by
page-found = { $shown } of { $all }
page-printed = the first { $shown } of { $all }
page-hover = live { $live }, zombies { $zombies }, leaked { $leaked }
page-hover-ids = ids left { $number }

page-verdict-exhausted = EXHAUSTED: the memory cgroup ids are used up, or were
page-verdict-crowded = CROWDED: live memory cgroups use up the ids
page-verdict-failing = FAILING: memory cgroups could not be made
page-verdict-leaking = LEAKING: zombies keep their ids
page-verdict-piling-up = ZOMBIES: removed memory cgroups pile up
page-verdict-none = no leak seen
page-verdict-none-left = no leak left: { $leaks } memory { $leaks ->
    [one] cgroup outlived the grace time and was freed later
   *[other] cgroups outlived the grace time and were freed later
 }
page-verdict-leak = LEAK: { $leaked } memory { $leaked ->
    [one] cgroup
   *[other] cgroups
 } leaked
page-verdict-slab = { $slab } slab { $slab ->
    [one] allocation
   *[other] allocations
 }
page-verdict-slab-at-least = at least { $slab } slab { $slab ->
    [one] allocation
   *[other] allocations
 }
page-verdict-mkdir = { $mkdir } { $mkdir ->
    [one] mkdir
   *[other] mkdirs
 }
page-verdict-and = { $first } and { $second }
page-verdict-failed = { $what } failed
page-verdict-left-or-before = { $left } { $left ->
    [one] zombie
   *[other] zombies
 } left that were there before or are younger than the grace time
page-verdict-left = { $left } { $left ->
    [one] zombie
   *[other] zombies
 } left, younger than the grace time
page-verdict-hold = zombies hold { $held } of kernel memory
page-verdict-lost = but events were lost
page-verdict-then = { $first }, { $second }
page-verdict-besides = { $first }; { $second }
