# `kmemtrace diagnose`、`reproduce`、`reclaim` 的中文。名称与参数同 en.ftl 一致，由测试比较。

headline-healthy = 正常：memory cgroup 删除后即被释放，本机没有导致泄漏的因素
headline-few = 正常：{ $zombies } 个僵尸，数量不多；在此内核上它们不占用 ID
headline-at-risk = 有风险：未见僵尸 cgroup，但内核内存记账（kmem accounting）已开启，在此内核上它会泄漏 memory cgroup
headline-piling-up = 僵尸堆积：至少 { $zombies } 个已删除的 memory cgroup 仍未释放；它们占用内存和 CPU，但不占用 ID
headline-leaking = 正在泄漏：至少 { $zombies } 个已删除的 memory cgroup 仍占用 ID；65535 个 ID 用尽后，直到重启前都无法启动容器
headline-exhausted = 已耗尽：memory cgroup 的 ID 已经（或曾经）用尽：内存虽有空闲，容器仍报 "cannot allocate memory"
headline-failing = 故障：无法创建 memory cgroup，但未发现泄漏
headline-unknown = 未知：从可读取的信息无法判断本节点是否泄漏 memory cgroup
unknown-next = 请在该节点上以 root 运行，或用 `kmemtrace snapshot` 制作副本后再诊断；原因见下

npd-healthy = memory cgroup 正常释放
npd-at-risk = kmem 记账已开启，此内核会泄漏 cgroup
npd-piling-up = { $zombies } 个僵尸 memory cgroup
npd-leaking = memory cgroup 泄漏：至少 { $zombies } 个占用 ID
npd-exhausted = memory cgroup ID 已用尽，需重启
npd-failing = 无法创建 memory cgroup
npd-unknown = 无法判断 memory cgroup 是否泄漏

title-symptoms = 症状
title-cause = 原因
title-levels = 各层级的内核内存记账
title-remedies = 处理办法，最有用的在前
title-others = 不适用于本节点，或不知是否有用
label-remedies = 办法：
label-verify = 验证：
label-cost = 代价：
label-risk = 风险：

level = 层级
level-directories = 数量
level-on = 开启
level-off = 关闭
level-untold = 不详
level-limited = 有限额
level-example = 例如
level-root = 根
level-kubepods = kubepods
level-qos = QoS 类别
level-pod = pod
level-container = 容器
level-other-container = 其他容器
level-other = 其他

unread = 未知：{ $file }：{ $reason }
exactly = { $number }
at-least = 至少 { $number }
nothing = { "" }

ids-taken = 全部 { $capacity } 个 ID 曾被占满（同时有 { $peak } 个带内核内存的 memory cgroup，外加根）；存活 { $live } 个，可见僵尸 { $zombies } 个
ids-taken-meaning = 僵尸占用 ID 不放。在此期间，memory 层级下 mkdir 失败，容器无法启动。{ $rate }
ids-live = 仅存活的 memory cgroup 就占用了 { $capacity } 个 ID 中的 { $live } 个
ids-live-meaning = 这不是泄漏：有程序创建 cgroup 而不删除。ID 用尽后 mkdir 会失败。{ $rate }
ids-leaking = 僵尸 { $zombies } 个，存活 { $live } 个；{ $capacity } 个 ID 中有 { $ids } 个在用
ids-leaking-meaning = 已删除的 memory cgroup 没有释放，每个占用一个 ID。{ $rate }
ids-many-zombies = 僵尸 { $zombies } 个，存活 { $live } 个；{ $capacity } 个 ID 中有 { $ids } 个在用
ids-many-zombies-meaning = 此内核在删除 cgroup 时收回 ID，所以 ID 不会用尽。但这么多僵尸会占用内存、拖慢内存回收，并让读取统计的程序多耗 CPU。{ $rate }
ids-few-zombies = 僵尸 { $zombies } 个，存活 { $live } 个；{ $capacity } 个 ID 中有 { $ids } 个在用
ids-few-zombies-meaning = 已删除容器的页缓存还在时，有少量僵尸是正常的。此内核在删除 cgroup 时收回 ID。{ $rate }
ids-fine = 没有滞留的僵尸，存活 { $live } 个；{ $capacity } 个 ID 中有 { $ids } 个在用
ids-fine-meaning = 已删除的 memory cgroup 都被释放。{ $rate }
ids-unknown = 存活 { $live } 个；无法得知有多少僵尸
ids-unknown-meaning = 内核的计数不含僵尸，或变化太快。`kmemtrace watch` 会跟踪每个 memory cgroup。{ $rate }
ids-verify = kmemtrace scan
rate = 按开机以来的平均速度（每天 { $day } 个 ID），剩余的还能用 { $left }。
rate-traced = 按记录（trace）中的速度（每天 { $day } 个 ID），剩余的还能用 { $left }。
rate-used-traced = 按记录（trace）中的速度（每天 { $day } 个 ID），重启后能用 { $lasts }。
rate-used = 按开机以来的平均速度（每天至少 { $day } 个 ID），重启后能用 { $lasts }。

fix-done = 已修复：没有层级记内核内存，刚创建的 { $made } 个 memory cgroup 都已释放
fix-old-zombies = 对新的 memory cgroup 已修复；{ $zombies } 个旧僵尸要到重启才消失
fix-other-zombies = 不受影响：刚创建的 { $made } 个 memory cgroup 都已释放；有 { $zombies } 个僵尸，在此内核上不占用 ID
fix-level-on = 未修复：层级 { $level } 仍在记内核内存（{ $directories } 个中的 { $on } 个）
fix-level-on-meaning = 目录保持创建时的状态：修复之前的目录随其 pod 或重启而消失。
fix-inherited = 未修复：在 { $place } 中创建的会继承记账
fix-still-leaks = 未修复：刚创建的 { $made } 个 memory cgroup 中有 { $stayed } 个成为僵尸

mkdir-not-tried = 未尝试；--probe 会创建并删除一个
mkdir-copied = 未知：在副本上无法尝试
mkdir-traced = 未尝试；记录中有 { $count } 次创建失败，从 { $first } 到 { $last }；最多的是 { $place } 下的 { $what }
mkdir-traced-meaning = 在此期间，本节点无法启动任何容器。
mkdir-works-again = 现在可以创建 memory cgroup；记录中有 { $count } 次失败，从 { $first } 到 { $last }
mkdir-works = 可以创建 memory cgroup
mkdir-fails = 无法创建 memory cgroup：{ $error }
mkdir-fails-meaning = 本节点无法启动任何容器。
mkdir-verify = mkdir { $mount }/x && rmdir { $mount }/x

kernel-log-clean = { $records } 条记录中没有 slab 分配失败
kernel-log-failures = { $failures } 次 slab 分配失败，共 { $groups } 组，开机后 { $first } 至 { $last }；最多的是 { $cache }{ $cgroup }：{ $most } 次
of-cgroup = （cgroup { $cgroup }）
kernel-log-limit = 名字带 cgroup 的缓存，是被该 cgroup 的内核内存限额或内存限额拒绝的：节点本身有内存。日志有限速，只记下一部分。
kernel-log-failures-meaning = 内核无法为自己的对象分到内存。若内存有空闲，则是某个 memory cgroup 的限额所致。日志有限速，只记下一部分。
kernel-log-verify = dmesg | grep -A2 'SLUB: Unable to allocate memory'

trace-clean = { $files } 的 { $watched } 中没有 slab 分配失败
trace-slab = { $files } 的 { $watched } 中有 { $count } 次 slab 分配失败，从 { $first } 到 { $last }；最多的是 { $cache }：{ $most } 次
trace-slab-meaning = 内核无法为自己的对象分到内存，或被某个 memory cgroup 的限额拒绝。

memcg-oom-none = 没有进程因 memory cgroup 限额被杀
memcg-oom-killed = { $killed } 个进程因 { $groups } 个 memory cgroup 的限额被杀，最近一次在开机后 { $last }；最多的是 { $cgroup }：{ $most } 个
memcg-oom-meaning = 这些容器用完了自己的限额。记账开启时内核内存也计入，但这不是泄漏。

runtime-log-clean = { $files } 中没有创建 cgroup 失败的记录
runtime-log-errors = 创建 cgroup 失败："cannot allocate memory" { $memory } 次，"no space left on device" { $space } 次，见 { $files }
runtime-log-meaning = 当时 memory cgroup 的 ID 已用尽（报哪种错误取决于内核），与内存或磁盘空间无关。

free-memory-plenty = { $total } 中可用 { $available }
free-memory-plenty-meaning = 若仍无法分配内存，缺的就不是内存。
free-memory-scarce = { $total } 中仅可用 { $available }
free-memory-scarce-meaning = 分配失败可能就是因为内存不足。

kernel-is = { $release }，{ $vendor }
kernel-unknown = { $release }：不知道此内核如何处理僵尸
vendor = 来自 { $vendor }
vendor-or-rebuild = 来自 { $vendor } 或其重建版
vendor-untold = 版本号看不出发行方
known-by-sign = （由本机实际表现得知）
known-by-release = （由版本号得知）
era-not-accounted = 3.8 之前不对 memory cgroup 记内核内存。{ $known }
era-opt-in = 对某个 memory cgroup 开启内核内存记账后，只要它自己的 slab 缓存里还有对象，它就不会被释放并一直占用 ID：实际上是永远。{ $known }
era-keeps-ids = 4.5 到 4.7 默认记内核内存，僵尸占用 ID。{ $known }
era-frees-ids = 删除 cgroup 时收回 ID（4.8 起）。slab 缓存和页缓存仍会使其成为僵尸。{ $known }
era-reparents-slab = 删除 cgroup 时收回 ID，slab 归父 cgroup（5.3 到 7.0）。页缓存和 tmpfs 文件仍会使其成为僵尸。{ $known }
era-reparents-all = 删除 cgroup 时 slab 和页缓存都归父 cgroup（7.1 起）。套接字、交换和回写仍会使其成为僵尸。{ $known }

built-in = 内核内存记账已编入内核
not-built-in = 内核内存记账未编入内核：无法开启

command-line-nothing = 内核命令行没有涉及 memory cgroup 的参数
command-line-words = 内核命令行：{ $words }
command-line-nokmem = 启动时已关闭内核内存记账：{ $words }
command-line-ignored = 内核命令行有 { $words }，但记账仍然开启
command-line-ignored-meaning = 此内核不认识该参数：el7 最迟从 1127 起认识，514 不认识。

accounting-none = 此内核不记内核内存
accounting-off = 本机不记内核内存
accounting-default = 内核自己就记内核内存，无需开启
accounting-both = kubelet 和 runc 都开启了内核内存记账
accounting-both-meaning = kubelet 创建的目录是开启的；父目录关闭的容器也是开启的。两者都要更换，或让内核不记账。
accounting-kubelet = kubelet 开启了内核内存记账
accounting-kubelet-not-runc = kubelet 创建的目录是开启的；别处的容器是关闭的，所以 runc 没有开启。pod 里的容器是继承来的。
accounting-kubelet-and-maybe-runc = kubelet 创建的目录是开启的。容器会继承，所以看不出 runc 是否也开启：不属于任何 pod 的容器可以看出（docker run）。
accounting-runc = runc 开启了内核内存记账
accounting-runc-not-kubelet = 容器是开启的；kubelet 创建的目录是关闭的。
accounting-runc-meaning = 容器是开启的，其父目录是关闭的。
accounting-other = 既非 kubelet 也非容器的 cgroup 开启了内核内存记账
accounting-other-meaning = 有别的程序写了 memory.kmem.limit_in_bytes：管理员或 systemd。
accounting-nobody = 没有人开启内核内存记账
accounting-nobody-meaning = 有容器，且都是关闭的。若有僵尸，只会是以前留下的。
accounting-no-container = 没有 cgroup 开启内核内存记账
accounting-no-container-meaning = 现在没有容器，看不出 runc 会怎么做。
accounting-untold = 未知：此内核不告知哪里开启了记账
accounting-untold-meaning = 根的 memory.kmem.slabinfo 既读不出，也不报 I/O 错误。
accounting-verify = cat /sys/fs/cgroup/memory/kubepods/memory.kmem.slabinfo：报 I/O 错误为关闭，有表头为开启

programs-none = 常见位置没有 kubelet、runc、containerd、dockerd、crio
programs-found = 找到：{ $programs }
programs-marked = 找到：{ $programs }；编译时去掉了内核内存记账：{ $marked }

slabinfo-caches = { $caches } 个 slab 缓存
slabinfo-header = 有表头，没有 slab 缓存
slabinfo-inactive = 输入/输出错误
slabinfo-empty = 空文件
slabinfo-absent = 没有该文件
slabinfo-unread = 无法读取
slab-names = { $removed } 个已删除 cgroup 的 CACHE(ID:LEAF)
slab-peak = CACHE(ID:LEAF) 中最大的 ID 是 { $id }
kmem-held = 比下面各目录之和多 { $held }
mkdir-said = mkdir：{ $error }
kernel-log-group = { $line }  [{ $cache } x { $count }]
traced-mkdir = mkdir { $path }：{ $error }
traced-mkdir-by = { $task } 执行 mkdir { $path }：{ $error }
traced-slab = slab 缓存 { $cache } 无法分配对象
fix-trial = 创建并删除 { $made } 个，{ $stayed } 个没有消失
program-version-untold = 版本不详：{ $reason }
program-marked = { $version }；编译时带 nokmem
program-mark-untold = { $version }；{ $reason }

nokmem-without-grubby = # 没有 grubby 时：{ $command }
kubelet-before = # 1.13 及更早：让 EnableKernelMemoryAccounting 和 setKernelMemory 只做 `return nil`，再编译：
kubelet-from = # 1.14 至 1.21；1.22 起本来就是这样：
kubelet-reboot = # 已有目录保持创建时的设置，所以要重启：
runc-update = # 1.0.0-rc94 及以后从不开启：升级 runc（软件包 containerd.io 或 runc）即可
runc-commit = # COMMIT 是 runc --version 显示的提交：
runc-containers = # 已有容器保持创建时的设置，所以要重启它们：
newer-kernel-el7 = # RHEL 或 CentOS 7：把节点升级到 8 或更高版本，或安装更新的内核（ELRepo 的 kernel-lt）：
newer-kernel-install = # 安装本发行版的新内核，然后：

pins-no-zombies = 没有僵尸
pins-kernel-memory = 僵尸至少占用 { $held } 内核内存
pins-kernel-memory-untold = 未知：这里无法合计已删除 cgroup 的内核内存
pins-held = 在 { $directories } 个 cgroup 之下，僵尸至少占用：页缓存 { $file }，tmpfs { $shmem }，匿名内存 { $anon }，slab { $slab }，套接字 { $sock }
pins-nothing-seen = 从存活 cgroup 的统计看不出僵尸占用了什么（{ $blind } 个既有进程又有子 cgroup）；大小：页缓存 { $file }，tmpfs { $shmem }，匿名内存 { $anon }，slab { $slab }，套接字 { $sock }；{ $directories } 个 cgroup
pins-walked = 内核自身的树中有 { $zombies } 个僵尸：{ $pins }
pins-meaning = 页缓存可以回收；tmpfs 文件要删除，套接字要关闭，进程要结束。

remedy-shrink-caches = 收回已删除 memory cgroup 的 slab 缓存
remedy-shrink-caches-cost = 无需重启，无需驱逐；每个缓存只要片刻
remedy-shrink-caches-risk = 低：只写没有存活 cgroup 的缓存，只释放未使用的部分；记账不关就会继续泄漏
remedy-shrink-caches-verify = kmemtrace scan
shrink-why = 由 slab 缓存可见 { $zombies } 个僵尸；僵尸占用 { $held } 内核内存。在 3.10.0-514 上，这样的 995 个释放了 993 个，在 4.14 上 98 个释放了 92 个。
shrink-why-not = 没有看到已删除 memory cgroup 的 slab 缓存

remedy-nokmem-boot = 让内核不做内核内存记账
remedy-nokmem-boot-cost = 节点重启一次（需驱逐）；无需重新编译
remedy-nokmem-boot-risk = 低：内核内存不再计入容器限额；要求内核内存限额的容器无法启动
remedy-nokmem-boot-verify = 重启后：grep nokmem /proc/cmdline; kmemtrace diagnose
nokmem-why = 对 kubelet 和 runc 同时有效
nokmem-given = 命令行已有该参数
nokmem-ignored = 命令行已有该参数，但此内核不认识
nokmem-too-old = 此 el7 内核早于 1127（已知最早认识该参数的版本）：先升级内核包
nokmem-untold = 从版本号看不出此内核是否认识；原版内核从 4.5 起认识，此时 `grep -w cgroup_memory /proc/kallsyms` 能找到读取它的函数
nokmem-nothing-on = 记账没有开启
nokmem-not-needed = 在此内核上记账不泄漏 ID

remedy-kubelet-nokmem = 换用不开启记账的 kubelet
remedy-kubelet-nokmem-cost = 编译 kubelet，驱逐并重启节点
remedy-kubelet-nokmem-risk = 中：自编译的 kubelet 每次升级都要重编；Kubernetes 1.22 起不需要
remedy-kubelet-nokmem-verify = cat /sys/fs/cgroup/memory/kubepods/memory.kmem.slabinfo 报 I/O 错误；kmemtrace diagnose
kubelet-why = kubelet 开启了它
kubelet-not-on = kubelet 没有开启它
kubelet-marked = 这个 kubelet 已是如此编译；开启的目录是以前的，或别的程序所为
kubelet-not-needed = 在此内核上不会因 kubelet 而泄漏

remedy-runc-nokmem = 换用不开启记账的 runc；docker 自己启动的容器也靠它
remedy-runc-nokmem-cost = 升级或编译 runc，重启所有容器
remedy-runc-nokmem-risk = 低：要求内核内存限额的容器无法启动
remedy-runc-nokmem-verify = docker run 一个容器，读它的 memory.kmem.slabinfo：应报 I/O 错误
runc-why = runc 开启了它
runc-perhaps = 容器会继承，看不出 runc 是否开启
runc-not-on = runc 没有开启它
runc-marked = 这个 runc 已是如此编译
runc-marked-but-on = 这个 runc 已是如此编译，但有容器是开启的：是以前的，或由另一个 runc 创建
runc-not-needed = 在此内核上不会因 runc 而泄漏

remedy-newer-kernel = 升级内核
remedy-newer-kernel-cost = 升级内核并重启节点（需驱逐）
remedy-newer-kernel-risk = 中：新内核有不同的驱动和缺陷；先在一个节点上试
remedy-newer-kernel-verify = uname -r; kmemtrace diagnose
newer-kernel-why = 4.8 起僵尸归还 ID，5.3 起 slab 不再造成僵尸
newer-kernel-nothing-on = 记账没有开启
newer-kernel-fewer = 7.1 起页缓存不再造成僵尸
newer-kernel-not-needed = 此内核不泄漏 ID

remedy-reclaim-memory = 回收僵尸占用的内存
remedy-reclaim-memory-cost = 无需重启，无需驱逐；页缓存要重新从磁盘读取
remedy-reclaim-memory-risk = 低；加 --drop-caches 会清空整个节点的页缓存，一段时间内变慢
remedy-reclaim-memory-verify = kmemtrace scan
reclaim-why = 所见之中，可回收页缓存 { $file }；tmpfs { $shmem } 只随文件删除而释放
reclaim-no-use = 在此内核上，回收和 drop_caches 不能释放僵尸
reclaim-not-needed = 由页缓存造成的僵尸不多

remedy-reboot = 重启节点：权宜之计
remedy-reboot-cost = 驱逐并重启
remedy-reboot-risk = 低；原因不除还会再来
remedy-reboot-verify = kmemtrace scan
reboot-why = 归还全部 ID。按每天 { $day } 个 ID，可用 { $lasts }
reboot-why-traced = 收回全部 ID。按记录中每天 { $day } 个 ID 的速度，能用 { $lasts }
reboot-why-untimed = 归还全部 ID；泄漏速度未知，无法得知能用多久
reboot-not-needed = 没有丢失 ID

zombies = { $number } 个僵尸
zombies-at-least = 至少 { $number } 个僵尸
comma = 、
note = 说明
held-file = 页缓存 { $bytes }
held-shmem = tmpfs { $bytes }
held-anon = 匿名内存 { $bytes }
held-slab = slab { $bytes }
held-sock = 套接字 { $bytes }
held-kernel = 内核内存 { $bytes }
held-other = 其他内存 { $bytes }

pinned = { $pin }钉住 { $zombies } 个
pinned-held = { $pin }钉住 { $zombies } 个（{ $held }）
pin-page-cache = 页缓存
pin-tmpfs = tmpfs 上的文件或共享内存
pin-anonymous = tmpfs 或匿名内存
pin-unevictable = 锁定的页
pin-swap = 交换区
pin-sockets = 套接字
pin-children = 其下的僵尸
pin-references = 引用（套接字、inode、进程）
pin-untold = 原因不明者
pin-more = { $first }、{ $rest }

reproduce-none = 未知：没有创建任何 memory cgroup
reproduce-ok = 正常：{ $made } 个 memory cgroup 删除后全部释放（记入其中的是 { $kind }）
reproduce-freed = 有僵尸：{ $made } 个 memory cgroup 中有 { $stayed } 个因记入其中的 { $kind } 而滞留，后者消失后即被释放
reproduce-leak = 泄漏：{ $made } 个 memory cgroup 中有 { $left } 个无论如何都不释放（记入其中的是 { $kind }）
reproduce-kernel = 内核
reproduce-hierarchy = 层级
reproduce-accounting = 记账
reproduce-switched-on = 已写 memory.kmem.limit_in_bytes，与 runc 的做法相同
reproduce-by-default = 由内核自行决定
reproduce-whole-machine = 此内核只统计整机的僵尸：其间别的僵尸可能增减
reproduce-interrupted = 已被中断：没有全部创建
reproduce-step = { $zombies }，历时 { $time }
reproduce-step-held = { $zombies }，历时 { $time }，占用 { $held }
reproduce-pinned = 原因：{ $pins }
reproduce-walk-refused = 看不到各僵尸被什么钉住：{ $reason }
reproduce-ask = 本节点上有 pod 运行。要创建至多 { $count } 个 memory cgroup 吗？它们可能成为僵尸，直到重启。[y/N]
reproduce-making = memory cgroup
reproduce-waiting = 等待僵尸消失
done-removed = 删除 cgroup 后
done-dropped = 丢弃缓存后
done-closed = 关闭套接字后
done-files = 删除文件后
done-shrunk = 收缩 slab 缓存后
workload-dentries = dentry
workload-inodes = inode
workload-page-cache = 页缓存
workload-tmpfs = tmpfs 文件
workload-sockets = 套接字

reclaim-none = 正常：没有僵尸，无可释放
reclaim-untold = 未知：此处无法统计僵尸，也未见到僵尸
reclaim-dry-run = 试运行：{ $zombies }；什么都没有写入，加 --apply 才执行
reclaim-all-gone = 正常：{ $zombies } 个僵尸全部消失
reclaim-some-gone = { $zombies } 个僵尸中有 { $gone } 个消失；剩余：{ $left }
reclaim-none-gone = 一个也没有消失：{ $left }
reclaim-before = 之前
reclaim-nothing = 无法处理
reclaim-nothing-why = 把它们钉住的东西在这里释放不了：tmpfs 上的文件、套接字、存活 cgroup 的缓存；若是有任务的 cgroup 之下的页缓存，只有 --drop-caches 能释放
reclaim-ended-interrupted = 已被中断：没有全部写入
reclaim-ended-time = 时间已到：没有全部写入
reclaim-shrink = 向 { $targets } 个僵尸的 { $writes } 个 slab 缓存写 1
reclaim-reclaim = { $targets } 个 cgroup 之下的页缓存
reclaim-drop-caches = 向 /proc/sys/vm/drop_caches 写 3
reclaim-most = 至多 { $bytes }
reclaim-left-out = 因 --max 略过 { $number } 个
reclaim-then = ；之后：{ $counts }
reclaim-failed = { $failed } 次写入失败，第一次：{ $reason }
reclaim-shrinking = 收缩 slab 缓存
reclaim-reclaiming = 回收页缓存
reclaim-dropping = 丢弃缓存
