//! The colours, one meaning each.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

/// A leak, a failure.
pub(crate) const ALARM: Style = AnsiColor::Red.on_default().bold();
/// What makes the rest less certain.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// All is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What others stand out from.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What the eye looks for.
pub(crate) const BOLD: Style = Style::new().bold();
/// As it comes.
pub(crate) const PLAIN: Style = Style::new();

/// Something in a style.
pub(crate) struct Styled<T>(Style, T);

impl<T: Display> Styled<T> {
    /// `what` in `style`, if there are colours.
    pub(crate) fn new(color: bool, style: Style, what: T) -> Self {
        Self(if color { style } else { PLAIN }, what)
    }
}

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.1.fmt(f)?;
        write!(f, "{:#}", self.0)
    }
}
