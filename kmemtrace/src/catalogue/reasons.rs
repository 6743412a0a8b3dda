//! Why something could not be read, in Chinese. Reasons arise in English far below, where no language is known; those that are
//! not here are shown as they are.

/// What the system says of an error, by its number (errno.h).
const SYSTEM: &[(i32, &str)] = &[
    (1, "不允许的操作"),
    (2, "没有该文件或目录"),
    (5, "输入/输出错误"),
    (11, "资源暂时不可用"),
    (12, "无法分配内存"),
    (13, "权限不够"),
    (20, "不是目录"),
    (21, "是一个目录"),
    (22, "无效的参数"),
    (28, "设备上没有空间"),
    (30, "只读文件系统"),
    (95, "不支持的操作"),
];

/// What kmemtrace says.
const OWN: &[(&str, &str)] = &[
    ("/proc/self/mountinfo cannot be read", "无法读取"),
    ("a copy's programs are not run", "不运行副本中的程序"),
    ("cannot be read", "无法读取"),
    ("it cannot be read to its end", "无法读到末尾"),
    ("it does not say", "其中没有说明"),
    (
        "no directory with a memory.stat but the root",
        "除根目录外没有含 memory.stat 的目录",
    ),
    ("no ID", "没有 ID"),
    (
        "no log of a runtime or of a syslog",
        "没有容器运行时或 syslog 的日志",
    ),
    (
        "no MemTotal or no MemAvailable",
        "没有 MemTotal 或 MemAvailable",
    ),
    ("no run in it", "其中没有任何一次运行"),
    ("no such file", "没有该文件"),
    ("rolled back", "被内核回滚"),
    ("no word of CONFIG_MEMCG", "其中没有提到 CONFIG_MEMCG"),
    (
        "not asked, as --no-exec says",
        "按 --no-exec 的要求没有询问",
    ),
];

/// A reason in Chinese, if it is known.
pub(super) fn chinese(reason: &str) -> Option<&'static str> {
    // As `io::Error` writes it.
    let number = reason
        .strip_suffix(')')
        .and_then(|reason| reason.rsplit_once(" (os error "))
        .and_then(|(_, number)| number.parse::<i32>().ok());
    let system = number.and_then(|number| SYSTEM.iter().find(|(known, _)| *known == number));
    let own = || OWN.iter().find(|(english, _)| *english == reason);
    system
        .map(|(_, chinese)| *chinese)
        .or_else(|| own().map(|(_, chinese)| *chinese))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn errors_of_the_system_are_known_by_their_numbers() {
        let error = std::io::Error::from_raw_os_error(12);
        assert_eq!(chinese(&error.to_string()), Some("无法分配内存"));
        let unknown = std::io::Error::from_raw_os_error(4095);
        assert_eq!(chinese(&unknown.to_string()), None);
        assert_eq!(chinese("it is of another node: node-7"), None);
    }

    /// A reason that is worded anew needs a new translation.
    #[test]
    fn what_is_translated_is_said_somewhere() {
        fn sources(folder: &Path, all: &mut String) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    sources(&path, all);
                } else if !path.ends_with("reasons.rs") {
                    all.push_str(&fs::read_to_string(&path).unwrap_or_default());
                }
            }
        }
        let mut all = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
        for (english, _) in OWN {
            assert!(all.contains(english), "nobody says {english:?}");
        }
    }
}
