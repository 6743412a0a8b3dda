//! Columns of a terminal.

/// Padded to so many columns of a terminal, where a Chinese character takes two.
pub(crate) fn wide(text: &str, columns: usize) -> String {
    let width: usize = text
        .chars()
        .map(|c| if c > '\u{2e7f}' { 2 } else { 1 })
        .sum();
    format!("{text}{}", " ".repeat(columns.saturating_sub(width)))
}
