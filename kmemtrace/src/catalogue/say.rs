//! The names of all sentences: the build makes them of `en.ftl`, and sees to it that every language has the same, with the same
//! arguments.
#![deny(dead_code)]

/// The name of a sentence: all are below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence(pub(super) &'static str);

include!(concat!(env!("OUT_DIR"), "/sentences.rs"));
