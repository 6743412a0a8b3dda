//! The kernel's configuration, where kernels and distributions put it.

use std::io::{self, Read};

use super::Root;

/// The largest configuration, unpacked: they have a quarter of a mebibyte.
const CONFIG_MAX: u64 = 4 << 20;

/// The text of the kernel's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigText {
    /// Where it is, on the machine itself.
    pub file: String,
    /// The text, unpacked.
    pub text: Vec<u8>,
}

/// Reads it from the kernel, else from the file of this release.
///
/// # Errors
///
/// There is none, or it cannot be read: which file, and what the system said.
pub fn config_text(root: &Root, release: Option<&str>) -> Result<ConfigText, (String, io::Error)> {
    let found = |file: String, text| ConfigText { file, text };
    let packed = "/proc/config.gz".to_owned();
    let missing = match root.read(&packed) {
        Ok(bytes) => {
            let mut text = Vec::new();
            let unpacked = flate2::read::MultiGzDecoder::new(&bytes[..])
                .take(CONFIG_MAX)
                .read_to_end(&mut text);
            return match unpacked {
                Ok(_) => Ok(found(packed, text)),
                Err(error) => Err((packed, error)),
            };
        }
        Err(error) => error,
    };
    let Some(release) = release.filter(|release| !release.contains('/')) else {
        return Err((packed, missing));
    };
    let first = format!("/boot/config-{release}");
    let second = format!("/lib/modules/{release}/config");
    match root.read(&first) {
        Ok(text) => Ok(found(first, text)),
        Err(error) => match root.read(&second) {
            Ok(text) => Ok(found(second, text)),
            Err(_) => Err((first, error)),
        },
    }
}
