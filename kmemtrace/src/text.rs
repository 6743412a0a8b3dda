//! Text for people: units and dates, colours, columns, and names from outside made harmless.

pub mod escape;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod units;
