//! One line for node-problem-detector, which cuts off what is longer than `max_output_length`, 80 bytes.

use super::{Diagnosis, State};
use crate::catalogue::{Catalogue, Message};

const MOST: usize = 80;

pub(super) fn line(diagnosis: &Diagnosis, catalogue: &Catalogue) -> String {
    let id = match diagnosis.state {
        State::Healthy => "npd-healthy",
        State::AtRisk => "npd-at-risk",
        State::PilingUp => "npd-piling-up",
        State::Leaking => "npd-leaking",
        State::Exhausted => "npd-exhausted",
        State::Crowded => "npd-crowded",
        State::Failing => "npd-failing",
        State::Unknown => "npd-unknown",
    };
    if diagnosis.fix.is_some() {
        return cut(catalogue.text(&diagnosis.headline));
    }
    let message = Message {
        id,
        args: diagnosis.headline.args.clone(),
    };
    cut(catalogue.text(&message))
}

fn cut(mut line: String) -> String {
    line.truncate(line.floor_char_boundary(MOST));
    line
}
