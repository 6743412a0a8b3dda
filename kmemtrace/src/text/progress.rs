//! A progress bar on stderr, if that is a terminal.

use std::{borrow::Cow, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps; it shows nothing where stderr is no terminal, and is gone at its end.
pub(crate) fn bar(steps: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    // The default target is stderr, and hidden unless that is a terminal.
    let bar = ProgressBar::new(steps).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg:<28} {bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
