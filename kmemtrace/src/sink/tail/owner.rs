//! Whose a cgroup was.

use std::{
    fmt::{self, Write as _},
    io::Write,
};

use super::{PATH_MAX, Tail, UNIT_MAX};
use crate::{
    attribution::{Owner, Qos, Runtime, owner},
    event::{Path, Pod},
    text::{
        escape::Name,
        style::{BOLD, DIM},
    },
};

impl<W: Write> Tail<W> {
    /// Whose a path is, and the path.
    pub(super) fn whose(&mut self, path: &Path, pod: Option<&Pod>, full: bool) -> fmt::Result {
        let Owner {
            pod_uid,
            container_id,
            qos,
            runtime,
            name,
            unit,
        } = owner(&path.bytes);
        let pod_uid = pod_uid.as_ref().map(|uid| {
            let uid = uid.as_str();
            // the hash of a static pod's manifest and the first part of a UUID: enough to grep for
            if full {
                uid
            } else {
                uid.get(..8).unwrap_or(uid)
            }
        });
        if let Some(uid) = pod_uid {
            write!(self.line, "  pod {}", self.styled(BOLD, uid))?;
            if let Some(Pod { namespace, name }) = pod {
                let namespace = Name::short(namespace.as_bytes(), UNIT_MAX);
                let name = Name::short(name.as_bytes(), PATH_MAX);
                let (namespace, name) = (self.styled(BOLD, namespace), self.styled(BOLD, name));
                write!(self.line, " {namespace}/{name}")?;
            }
        }
        if let Some(id) = container_id {
            let id = id.get(..12).unwrap_or(id); // as docker, crictl and nerdctl show it
            let gap = if pod_uid.is_some() { " " } else { "  " };
            write!(self.line, "{gap}container {}", self.styled(BOLD, id))?;
        }
        let qos = qos.map(Qos::as_str);
        let runtime = runtime.map(Runtime::as_str);
        if let Some(name) = name {
            // 64 digits of a sandbox's overhead leave room for the path.
            let name = Name::short(name.as_bytes(), if full { PATH_MAX } else { UNIT_MAX });
            let runtime = runtime.unwrap_or_default();
            write!(self.line, "  {runtime} {}", self.styled(BOLD, name))?;
        }
        let runtime = runtime.filter(|_| name.is_none());
        match (qos, runtime) {
            (Some(qos), Some(runtime)) if full => write!(self.line, " ({qos}, {runtime})")?,
            (Some(one), None) | (None, Some(one)) if full => write!(self.line, " ({one})")?,
            _ => {}
        }
        // in a path that is shown whole it is seen anyway
        if let Some(unit) = unit
            && container_id.is_none()
            && pod_uid.is_none()
            && name.is_none()
            && path.bytes.len() > PATH_MAX
        {
            let unit = Name::short(unit.as_bytes(), UNIT_MAX);
            write!(self.line, "  {}", self.styled(BOLD, unit))?;
        }
        // where names were joined the mark that some are missing is there already
        let cut = if path.cut && !path.bytes.starts_with(b"...") {
            "…"
        } else {
            ""
        };
        let style = if pod_uid.is_some() || container_id.is_some() || name.is_some() {
            DIM
        } else {
            BOLD
        };
        let path = Name::short(&path.bytes, PATH_MAX);
        write!(
            self.line,
            "  {}",
            self.styled(style, format_args!("{path}{cut}"))
        )
    }
}
