//! Text for people: units and dates, colours, columns, and names from outside made harmless.

pub(crate) mod columns;
pub mod escape;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod units;
