//! What the system's errors are called.

use super::{Sentence, say};

/// The common ones, by number (`errno.h`). The numbers are those of all architectures that kmemtrace runs on.
const KNOWN: &[(i32, Sentence)] = &[
    (1, say::ERRNO_PERM),
    (2, say::ERRNO_NOENT),
    (5, say::ERRNO_IO),
    (11, say::ERRNO_AGAIN),
    (12, say::ERRNO_NOMEM),
    (13, say::ERRNO_ACCES),
    (16, say::ERRNO_BUSY),
    (17, say::ERRNO_EXIST),
    (19, say::ERRNO_NODEV),
    (20, say::ERRNO_NOTDIR),
    (21, say::ERRNO_ISDIR),
    (22, say::ERRNO_INVAL),
    (24, say::ERRNO_MFILE),
    (28, say::ERRNO_NOSPC),
    (30, say::ERRNO_ROFS),
    (38, say::ERRNO_NOSYS),
    (95, say::ERRNO_OPNOTSUPP),
];

/// The sentence of an error, if there is one.
pub(super) fn sentence(number: i32) -> Option<Sentence> {
    let known = KNOWN.iter().find(|(known, _)| *known == number);
    known.map(|(_, sentence)| *sentence)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{
        catalogue::{Arg, Catalogue, Lang},
        error::Said,
    };

    #[test]
    fn errors_are_said_in_english_as_the_system_says_them() {
        let english = Catalogue::exact(Lang::En);
        let chinese = Catalogue::exact(Lang::Zh);
        for number in 1..134 {
            let system = io::Error::from_raw_os_error(number).to_string();
            let arg = Arg::from(Said::Number(number));
            assert_eq!(english.arg(&arg), system);
            let known = sentence(number).is_some();
            assert_eq!(chinese.arg(&arg) != system, known, "{system}");
        }
    }
}
