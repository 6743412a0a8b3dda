//! What helps against makers of cgroups other than kubelet and runc, against live cgroups, and on kernels with a reaper.

use super::{Arg, Remedy, RemedyRow, Situation, commands::commands};
use crate::{
    catalogue::{Message, say},
    diagnose::{State, findings::configured, levels::Who, signs},
    history::{self, Has},
    runtimes::{Accounting, Runtime},
};

impl Situation<'_> {
    /// The runtimes that switched accounting on, where that leaks.
    fn leaking_runtimes(&self) -> impl Iterator<Item = Runtime> {
        let who = self.who.filter(|_| self.opt_in());
        who.into_iter().flat_map(Who::runtimes)
    }

    /// For each runtime that switched accounting on and has a setting: that.
    pub(super) fn settings(&self, row: &RemedyRow) -> Vec<Remedy> {
        self.leaking_runtimes()
            .filter_map(|runtime| match runtime.row().accounting {
                Accounting::Setting(name, _) => Some(self.setting(row, runtime, name)),
                Accounting::Before(_) | Accounting::No | Accounting::ByRunc => None,
            })
            .collect()
    }

    /// For each runtime that switched accounting on up to a version: that.
    pub(super) fn updates(&self, row: &RemedyRow) -> Vec<Remedy> {
        self.leaking_runtimes()
            .filter_map(|runtime| match runtime.row().accounting {
                Accounting::Before(version) => Some(update(row, runtime, version)),
                Accounting::Setting(..) | Accounting::No | Accounting::ByRunc => None,
            })
            .collect()
    }

    fn setting(&self, row: &RemedyRow, runtime: Runtime, name: &'static str) -> Remedy {
        let line = self.facts.configured.programs.last();
        let file = line.map_or("/etc/slurm/cgroup.conf", |line| line.at.file());
        let done = line.filter(|line| line.text.to_ascii_lowercase().ends_with("=no"));
        let why = match done {
            Some(line) => Message::new(say::RUNTIME_SETTING_DONE)
                .arg("line", line.text.clone())
                .arg("file", line.at.file()),
            None => Message::new(say::RUNTIME_SETTING_WHY),
        };
        let mut lines = Vec::new();
        if done.is_none() {
            lines.push(format!("sed -i '/^ *{name}/Id' {file} && echo {name}=no >> {file}").into());
        }
        lines.extend(runtime.row().drain.map(Arg::from));
        lines.push("reboot".into());
        let why = why.arg("runtime", runtime.row().title);
        let mut remedy = row.remedy(true, why, lines);
        remedy.title = remedy
            .title
            .arg("runtime", runtime.row().title)
            .arg("setting", name);
        remedy
    }

    /// Where the kernel has a reaper of its own.
    pub(super) fn reaper(&self, row: &RemedyRow) -> Option<Remedy> {
        let off = self.facts.reaper.as_ref()?.text == "0";
        let many = self.leaking() || self.many;
        let (applies, why) = match (off, many) {
            (false, _) => (false, say::MEMCG_REAPER_ON),
            (true, true) => (true, say::MEMCG_REAPER_WHY),
            (true, false) => (false, say::MEMCG_REAPER_FEW),
        };
        let commands = commands(["echo 1 > /sys/kernel/mm/memcg_reaper/reap_background"]);
        Some(row.remedy(applies, Message::new(why), commands))
    }

    /// Where live ones use up the ids. `rmdir` is all it takes: the kernel refuses it where there are tasks or children
    /// (`cgroup_destroy_locked`), so that nothing of kmemtrace's own has to decide what may go.
    pub(super) fn remove_empty(&self, row: &RemedyRow) -> Option<Remedy> {
        if self.state != State::Crowded {
            return None;
        }
        let crowd = self.facts.crowd.as_ref()?;
        let why = Message::new(say::REMOVE_EMPTY_WHY)
            .arg("empty", signs::empty(crowd))
            .arg("children", crowd.children)
            .arg("place", crowd.place.clone())
            .arg("maker", signs::made_by(crowd));
        let place = &crowd.place;
        let quoted = place.replace('\'', "'\\''");
        let lines = vec![
            format!("find '{quoted}' -mindepth 1 -depth -type d -mmin +60 -exec rmdir {{}} + 2>/dev/null").into(),
            Arg::from(Message::new(say::REMOVE_EMPTY_WHO)),
            "kmemtrace watch --for 5m --format json | grep '\"kind\":\"created\"'".into(),
        ];
        Some(row.remedy(crowd.empty.unwrap_or(crowd.leaves) > 0, why, lines))
    }

    /// Whether `nokmem` is configured and the running kernel was not given it.
    pub(super) fn configured(&self) -> bool {
        configured::not_in_force(self.facts, "nokmem")
            .next()
            .is_some()
    }

    /// How `nokmem` comes into force: where a file has it already, without the steps that put it there; where a boot loader's
    /// entry has it, by a reboot alone.
    pub(super) fn boot_commands(&self) -> Vec<Arg> {
        let mut lines = self.nokmem_commands();
        let release = self.facts.kernel.as_ref().map_or("", |line| &line.text);
        if self.is_el7() && history::NOKMEM.is_in(release) != Has::Yes {
            lines.insert(0, "yum update kernel".into());
        }
        let mut configured = configured::not_in_force(self.facts, "nokmem").peekable();
        if configured.peek().is_none() {
            return lines;
        }
        if configured.any(|line| line.at.file().starts_with("/boot/")) {
            return commands(["reboot"]);
        }
        let puts = |line: &Arg| match line {
            Arg::Text(text) => text.starts_with("sed ") || text.starts_with("grubby "),
            Arg::Message(message) => message.sentence == say::NOKMEM_WITHOUT_GRUBBY,
            _ => false,
        };
        lines.retain(|line| !puts(line));
        lines.insert(0, Message::new(say::NOKMEM_MAKE).into());
        lines
    }
}

fn update(row: &RemedyRow, runtime: Runtime, version: &'static str) -> Remedy {
    let title = runtime.row().title;
    let why = Message::new(say::RUNTIME_UPDATE_WHY)
        .arg("runtime", title)
        .arg("version", version);
    let comment = Message::new(say::RUNTIME_UPDATE_HOW)
        .arg("runtime", title)
        .arg("version", version);
    let mut lines = vec![Arg::from(comment)];
    lines.extend(runtime.row().drain.map(Arg::from));
    lines.push("reboot".into());
    let mut remedy = row.remedy(true, why, lines);
    remedy.title = remedy.title.arg("runtime", title).arg("version", version);
    remedy
}
