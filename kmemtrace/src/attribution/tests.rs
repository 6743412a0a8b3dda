use super::*;
use proptest::prelude::*;

const A: &str = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376";
const B: &str = "6d393320601b821561e43bd46f658284cb172cf297ecc3d3665be657870d32e2";
const POD: &str = "74c13223-5a00-11e9-b385-42010a80018d";
const STATIC_POD: &str = "b1e89a2fcc688644de3eb95aee8025ce";
const TASK: &str = "5a0d5ceddf6c44c1928d367a815d890f";

/// Container ids for `{A}` and `{B}`, a pod's uid for `{P}`, the same as slices have it for `{_}`,
/// a static pod's uid for `{S}`, an ECS task's id for `{T}`.
fn fill(template: &str) -> String {
    let values = [
        ("{A}", A),
        ("{B}", B),
        ("{P}", POD),
        ("{_}", &POD.replace('-', "_")),
        ("{S}", STATIC_POD),
        ("{T}", TASK),
    ];
    values
        .iter()
        .fold(template.to_owned(), |text, (key, value)| {
            text.replace(key, value)
        })
}

/// A row is `path | pod, qos, container, runtime, name, unit`: what the path tells, in this order.
#[track_caller]
fn check(table: &str) {
    for row in fill(table)
        .lines()
        .map(str::trim)
        .filter(|row| !row.is_empty())
    {
        let (path, expected) = row.split_once('|').unwrap_or((row, ""));
        let found = owner(path.trim().as_bytes());
        let told = [
            found.pod_uid.as_ref().map(PodUid::as_str),
            found.qos.map(Qos::as_str),
            found.container_id,
            found.runtime.map(Runtime::as_str),
            found.name,
            found.unit,
        ];
        let told: Vec<_> = told.into_iter().flatten().collect();
        assert_eq!(told.join(", "), expected.trim(), "{path}");
    }
}

#[test]
fn kubelet_cgroupfs_driver() {
    check(
        "
        /kubepods/besteffort/pod{P}/{A}              | {P}, besteffort, {A}
        /kubepods/burstable/pod{P}/{A}               | {P}, burstable, {A}
        /kubepods/burstable/pod{P}                   | {P}, burstable
        /kubepods/pod{P}/{A}                         | {P}, guaranteed, {A}
        /kubepods/pod{P}                             | {P}, guaranteed
        /kubepods/burstable/pod{S}/{A}               | {S}, burstable, {A}
        /kubepods/burstable/pod{P}/crio-{A}          | {P}, burstable, {A}, cri-o
        /kubepods/burstable/pod{P}/crio-conmon-{A}   | {P}, burstable, {A}, cri-o
        /kubepods/burstable                          | burstable
        /kubepods
        /kubepods/burstable/pod{P}/{A}/docker/{B}    | {P}, burstable, {B}, docker
        ",
    );
}

#[test]
fn kubelet_systemd_driver() {
    for (parent, qos) in [
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod",
            "burstable",
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod",
            "besteffort",
        ),
        ("/kubepods.slice/kubepods-pod", "guaranteed"),
    ] {
        // The last row, with dashes, is as recorded in 2017.
        check(
            &"
            PARENT{_}.slice                             | {P}, QOS
            PARENT{S}.slice                             | {S}, QOS
            PARENT{_}.slice/cri-containerd-{A}.scope    | {P}, QOS, {A}, containerd
            PARENT{_}.slice/docker-{A}.scope            | {P}, QOS, {A}, docker
            PARENT{_}.slice/crio-{A}.scope              | {P}, QOS, {A}, cri-o
            PARENT{_}.slice/crio-{A}.scope/container    | {P}, QOS, {A}, cri-o
            PARENT{_}.slice/crio-conmon-{A}.scope       | {P}, QOS, {A}, cri-o
            PARENT{S}.slice/cri-containerd-{A}.scope    | {S}, QOS, {A}, containerd
            PARENT{_}.slice/{A}                         | {P}, QOS, {A}
            PARENT{P}.slice/docker-{A}.scope            | {P}, QOS, {A}, docker
            "
            .replace("PARENT", parent)
            .replace("QOS", qos),
        );
    }
    check(
        "
        /kubepods.slice/kubepods-burstable.slice  | burstable, kubepods-burstable.slice
        /kubepods.slice                           | kubepods.slice
        ",
    );
}

#[test]
fn runtime_with_another_driver_than_the_kubelet() {
    check(
        "
        /system.slice/containerd.service/kubepods-besteffort-pod{_}.slice:cri-containerd:{A} | {P}, besteffort, {A}, containerd, containerd.service
        /kubepods-burstable-pod{_}.slice:cri-containerd:{A}          | {P}, burstable, {A}, containerd
        /kubelet-kubepods-burstable-pod{_}.slice:cri-containerd:{A}  | {P}, burstable, {A}, containerd
        /kubepods-pod{_}.slice:crio:{A}/{B}                          | {P}, guaranteed, {A}, cri-o
        /system.slice:docker:{A}                                     | {A}, docker
        /machine.slice:libpod:{A}                                    | {A}, podman
        ",
    );
}

#[test]
fn kubelet_below_another_root() {
    check(
        &"
        /SLICES                                      | {P}, burstable, {B}, containerd
        /docker/{A}/SLICES                           | {P}, burstable, {B}, containerd
        /system.slice/docker-{A}.scope/SLICES        | {P}, burstable, {B}, containerd
        /docker/{A}/kubelet/kubepods/besteffort/pod{P}/{B}  | {P}, besteffort, {B}
        /docker/{A}/kubelet/kubepods/besteffort/pod{P}      | {P}, besteffort
        /docker/{A}/kubelet/kubepods/besteffort             | besteffort
        /docker/{A}/kubelet/kubepods                        | {A}, docker
        /system.slice/k3s.service/kubepods/pod{P}/{A}       | {P}, guaranteed, {A}, k3s.service
        /system.slice/k3s.service/SLICES                    | {P}, burstable, {B}, containerd, k3s.service
        /my.slice/my-pods.slice/my-pods-kubepods.slice/my-pods-kubepods-burstable.slice/x | burstable
        /my.slice/my-pods.slice/my-pods-kubepods.slice/my-pods-kubepods-pod{_}.slice/{A} | {P}, guaranteed, {A}
        /kubepods/burstable/pod{S}/{A}/kubelet/kubepods/pod{P}/{B} | {P}, guaranteed, {B}
        "
        .replace(
            "SLICES",
            "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/\
             kubelet-kubepods-burstable-pod{_}.slice/cri-containerd-{B}.scope",
        ),
    );
}

#[test]
fn containers_without_a_kubelet() {
    check(
        &"
        /docker/{A}                                   | {A}, docker
        /docker/{A}/docker/{B}                        | {B}, docker
        /docker/{A}/{B}                               | {A}, docker
        /system.slice/docker-{A}.scope                | {A}, docker
        USER/user.slice/docker-{A}.scope              | {A}, docker, user@1000.service

        /machine.slice/libpod-{A}.scope               | {A}, podman
        /machine.slice/libpod-conmon-{A}.scope        | {A}, podman
        /machine.slice/libpod-{A}.scope/container     | {A}, podman
        /machine.slice/libpod-{A}.scope/init.scope    | {A}, podman, init.scope
        /libpod_parent/libpod-{A}                     | {A}, podman
        /libpod_parent/{B}/libpod-{A}                 | {A}, podman
        USER/user.slice/libpod-{A}.scope/container    | {A}, podman, user@1000.service
        /system.slice/nginx.service/libpod-payload-{A} | {A}, podman, nginx.service
        /system.slice/nginx.service/runtime           | nginx.service
        /machine.slice/machine-libpod_pod_{B}.slice   | podman, machine-libpod_pod_{B}.slice
        /machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope | {A}, podman
        /docker/{A}/machine.slice/machine-libpod_pod_{B}.slice/x     | {A}, docker
        USER/user.slice/user-libpod_pod_{B}.slice     | podman, user-libpod_pod_{B}.slice

        /system.slice/nerdctl-{A}.scope               | {A}, containerd
        /default/{A}                                  | {A}, containerd
        /k8s.io/{A}                                   | {A}, containerd

        /ecs/{T}/{A}                                  | {A}
        /ecs/{P}/{A}                                  | {A}
        /ecs/my-cluster/{T}/{A}                       | {A}
        /ecstasks.slice/ecstasks-{T}.slice/docker-{A}.scope | {A}, docker
        "
        .replace("USER", "/user.slice/user-1000.slice/user@1000.service"),
    );
}

#[test]
fn jobs_and_containers_with_names() {
    check(
        "
        /lxc
        /lxc/web                                      | lxc, web
        /lxc/web/system.slice/x.service               | lxc, web, x.service
        /lxc/101/ns                                   | lxc, 101
        /lxc/web-1.example                            | lxc, web-1.example
        /lxc.payload/web                              | lxc, web
        /lxc.payload.web                              | lxc, web
        /lxc.payload.project_web/init.scope           | lxc, project_web, init.scope
        /lxc.monitor.web                              | lxc, web
        /lxc.monitor/web                              | lxc, web
        /user.slice/user-1000.slice/session-1.scope/lxc/web | lxc, web, session-1.scope
        /lxc/outer/lxc/inner                          | lxc, inner
        /lxc/web/docker/{A}                           | {A}, docker
        /docker/{A}/lxc/web                           | lxc, web
        /lxc/web/kubepods/pod{P}/{A}                  | {P}, guaranteed, {A}
        /lxc/{A}                                      | {A}, lxc

        /slurm/uid_1000
        /slurm/uid_1000/job_123                       | slurm, job_123
        /slurm/uid_1000/job_123/step_0                | slurm, job_123/step_0
        /slurm/uid_1000/job_123/step_batch/task_0     | slurm, job_123/step_batch
        /slurm_node-7/uid_1000/job_123/step_extern    | slurm, job_123/step_extern
        /system.slice/slurmstepd.scope/job_123/step_0/user/task_0 | slurm, job_123/step_0, slurmstepd.scope
        /system.slice/node7_slurmstepd.scope/job_123  | slurm, job_123, node7_slurmstepd.scope
        /system.slice/slurmstepd.scope/system         | slurmstepd.scope
        /slurm/uid_1000/job_123/step_0/docker/{A}     | {A}, docker

        /nomad/{P}                                    | nomad, {P}
        /nomad/{P}.web                                | nomad, {P}
        /nomad.slice/{P}.web.scope                    | nomad, {P}
        /nomad.slice/share.slice/{P}.web.scope        | nomad, {P}
        /nomad.slice/reserve.slice/{P}.web-1.scope/x  | nomad, {P}
        /nomad.slice/share.slice                      | share.slice
        /nomad.slice/docker-{A}.scope                 | {A}, docker

        /garden/{P}                                   | garden, {P}
        /garden/2f8cd4c5-9a5e-4b5e-5b1c-ab12          | garden, 2f8cd4c5-9a5e-4b5e-5b1c-ab12
        /garden/good/{P}/init                         | garden, {P}
        /garden/{P}/garden/{P}                        | garden, {P}
        /system.slice/runc-bpm-garden.scope/garden/{P} | garden, {P}, runc-bpm-garden.scope

        /hadoop-yarn/container_1455551433868_0002_01_000001     | yarn, container_1455551433868_0002_01_000001
        /yarn/container_e01_1234567890123_0001_01_000002/{A}    | yarn, container_e01_1234567890123_0001_01_000002
        /isulad/{A}                                   | {A}, isulad
        /isulad-{A}.scope                             | {A}, isulad
        /mesos/{P}                                    | mesos, {P}
        /mesos/{P}/{A}                                | mesos, {P}
        /mesos/{P}/mesos/{P}                          | mesos, {P}
        /ecs/{T}/{T}-1234567890                       | ecs, {T}-1234567890

        /vc/kata_{A}                                  | {A}, kata
        /kubepods/pod{P}/kata_{A}                     | {P}, guaranteed, {A}, kata
        /kata_overhead                                | kata, kata_overhead
        /kata_overhead/{A}                            | kata, kata_overhead/{A}
        /kata_overhead/kubepods/besteffort/pod{P}/{A} | {P}, besteffort, kata, kata_overhead
        /kata_overhead/kubepods-pod{_}.slice:cri-containerd:{A} | {P}, guaranteed, kata, kata_overhead
        ",
    );
}

#[test]
fn units() {
    check(
        r"
        /system.slice/sshd.service                            | sshd.service
        /system.slice/system-getty.slice/getty@tty1.service   | getty@tty1.service
        /system.slice/systemd-udevd.service/udev              | systemd-udevd.service
        /user.slice/user-1000.slice/session-3.scope           | session-3.scope
        /user.slice/user-1000.slice/user@1000.service/app.slice/x.service | x.service
        /user.slice/user-1000.slice/user@1000.service/app.slice           | app.slice
        /user.slice/user-1000.slice/user@1000.service/app.slice/x         | user@1000.service
        /init.scope                                           | init.scope
        /system.slice                                         | system.slice
        /system.slice/                                        | system.slice
        /system.slice/-.mount                                 | -.mount
        /system.slice/dev-disk-by\x2duuid-1.swap              | dev-disk-by\x2duuid-1.swap
        /machine.slice/machine-qemu\x2d1\x2dvm.scope          | machine-qemu\x2d1\x2dvm.scope
        /system.slice/docker-34dc0b5e626f.scope               | docker-34dc0b5e626f.scope
        /system.slice/var-lib-docker-containers-{A}-shm.mount | var-lib-docker-containers-{A}-shm.mount
        /docker/{A}/system.slice                              | {A}, docker, system.slice
        /kubepods.slice/kubepods-pod{_}.slice/cri-containerd-{A}.scope/system.slice/foo.service | {P}, guaranteed, {A}, containerd, foo.service
        /user.slice/x
        /.service
        /service
        /a b.service
        /a.timer
        /
        ",
    );
    assert_eq!(owner(b""), Owner::default());
    assert_eq!(owner(b"/a\nb.service"), Owner::default());
    assert_eq!(owner(b"/a\xff.service"), Owner::default());
}

#[test]
fn no_claims() {
    check(
        "
        /{A}
        /foo/{A}
        /lxc/
        /lxc/a b
        /lxc.payload.
        /lxcfs/web
        /slurm/job_123
        /slurm/uid_x/job_123
        /slurm/uid_1/job_
        /slurm/uid_1/job_12a
        /slurm/system
        /slurmx/uid_1/job_1
        /job_1/step_0
        /nomad/web
        /nomad/{P}x
        /nomad/{S}
        /garden/web
        /garden/2f8cd4c5-9a5e-4b5e-5b1c-ab1
        /container_1_1_1_1
        /hadoop-yarn/container_1455551433868_0002_01
        /mesos/web
        /ecs/{T}/{T}-1
        /kata_{P}
        /kata_overheads/{A}
        /default/redis
        /docker/buildkit/kvub9nkzcr2fqrzyi1ckfz5xy
        /docker/34dc0b5e626f
        /docker/x/{A}
        /docker/{A}x
        /ecs/a/b/{T}/{A}
        /ecs/task/{A}
        /kubepodsx/pod{P}/{A}
        /kubepods/pod74c1322/{A}
        /kubepods/podmirror/{A}
        /kubepods/pod74c13223_5a00-11e9-b385-42010a80018d
        /kubepods/pod74C13223-5A00-11E9-B385-42010A80018D
        /kubepods/guaranteed/pod{P}
        /burstable/pod{P}/{A}
        /pod{P}
        /x.slice:unheard-of:{A}
        /x.slice:docker:{A}:{B}
        /unheard-of-{A}
        /docker--{A}
        /docker-{A} (deleted)
        /docker-{A}.service                        | docker-{A}.service
        /foo.scope/x/{A}                           | foo.scope
        /kubepods/burstable/pod74c1322             | burstable
        /kubepods/burstable/pod{P}x/{A}            | burstable
        /kubepods-pod{_}.slice:cri-containerd      | {P}, guaranteed
        /notkubepods-pod{_}.slice/{A}
        ",
    );
    assert_eq!(owner(fill("/docker/{A}\n").as_bytes()), Owner::default());
    // Bytes that are no text hide nothing that is above or below them.
    let path = [
        b"/docker/",
        A.as_bytes(),
        b"/\xff\n\x1b[2J/x.service/\xfe.service",
    ]
    .concat();
    let found = owner(&path);
    assert_eq!(
        (found.container_id, found.unit),
        (Some(A), Some("x.service"))
    );
}

#[test]
fn a_uid_prints_as_the_api_server_writes_it() {
    let path = fill("/kubepods.slice/kubepods-pod{_}.slice");
    let uid = owner(path.as_bytes())
        .pod_uid
        .map(|uid| format!("{uid} {uid:?} {uid:>38}"));
    assert_eq!(uid, Some(format!("{POD} PodUid({POD})   {POD}")));
}

/// Names that mean something: whole, cut short, or glued to one another.
fn name() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &[
        "kubepods",
        "burstable",
        "pod{P}",
        "pod{S}",
        "{A}",
        "{B}",
        "docker",
        "ecs",
        "{T}",
        "kubepods-burstable.slice",
        "kubepods-pod{_}.slice",
        "a-kubepods-besteffort-pod{_}.slice",
        "kubepods-pod{_}.slice:cri-containerd:{A}",
        "cri-containerd-{A}.scope",
        "crio-conmon-{B}.scope",
        "libpod-{A}",
        "machine-libpod_pod_{A}.slice",
        "x.service",
        "y.slice",
        "lxc",
        "lxc.payload.web",
        "slurm",
        "uid_1",
        "job_12",
        "step_0",
        "x_slurmstepd.scope",
        "nomad.slice",
        "{P}",
        "{P}.web.scope",
        "kata_overhead",
        "kata_{A}",
        "container_e01_1234567890123_0001_01_000002",
    ];
    let name = proptest::sample::select(NAMES).prop_map(fill);
    prop_oneof![
        8 => name.clone(),
        1 => (name.clone(), 0..80_usize).prop_map(|(name, len)| name.chars().take(len).collect()),
        1 => (name.clone(), name).prop_map(|(one, other)| one + &other),
    ]
}

/// Every claim is in the path, digit by digit, and holds for whatever is below it.
fn check_claims(path: &[u8]) -> Result<(), TestCaseError> {
    let found = owner(path);
    let occurs = |text: &str| path.windows(text.len()).any(|part| part == text.as_bytes());
    if let Some(id) = found.container_id {
        prop_assert!(id.len() == 64 && occurs(id));
    }
    if let Some(unit) = found.unit {
        prop_assert!(!unit.is_empty() && occurs(unit));
    }
    if let Some(uid) = found.pod_uid {
        let uid = uid.as_str();
        prop_assert!(matches!(uid.len(), 32 | 36));
        prop_assert!(occurs(uid) || occurs(&uid.replace('-', "_")));
        prop_assert!(found.qos.is_some());
    }
    if let Some(name) = found.name {
        prop_assert!(!name.is_empty() && occurs(name));
        prop_assert!(found.container_id.is_none() && found.runtime.is_some());
    }
    prop_assert!(
        found.runtime.is_none()
            || found.container_id.is_some()
            || found.name.is_some()
            || occurs("libpod_pod_")
    );
    let below = [path, b"/\xff"].concat();
    prop_assert_eq!(
        Owner {
            unit: found.unit,
            ..owner(&below)
        },
        found
    );
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes(path: Vec<u8>) {
        check_claims(&path)?;
    }

    #[test]
    fn any_names(names in proptest::collection::vec(name(), 0..8)) {
        check_claims(format!("/{}", names.join("/")).as_bytes())?;
    }
}
