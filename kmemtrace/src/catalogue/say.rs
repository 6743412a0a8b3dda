//! The names of all sentences: the build makes them of `en.ftl`, and sees to it that every language has the same, with the same
//! arguments.
#![deny(dead_code)]

use super::Sentence;

include!(concat!(env!("OUT_DIR"), "/sentences.rs"));
