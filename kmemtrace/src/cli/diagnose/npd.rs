//! One line for node-problem-detector, which cuts off what is longer than `max_output_length`, 80 bytes.

use super::{Diagnosis, State};
use crate::catalogue::{Catalogue, Message, say};

const MOST: usize = 80;

pub(super) fn line(diagnosis: &Diagnosis, catalogue: &Catalogue) -> String {
    let sentence = match diagnosis.state {
        State::Healthy => say::NPD_HEALTHY,
        State::AtRisk => say::NPD_AT_RISK,
        State::PilingUp => say::NPD_PILING_UP,
        State::Leaking => say::NPD_LEAKING,
        State::Exhausted => say::NPD_EXHAUSTED,
        State::Crowded => say::NPD_CROWDED,
        State::Failing => say::NPD_FAILING,
        State::Unknown => say::NPD_UNKNOWN,
    };
    if diagnosis.fix.is_some() {
        return cut(catalogue.text(&diagnosis.headline));
    }
    let message = Message {
        sentence,
        args: diagnosis.headline.args.clone(),
    };
    cut(catalogue.text(&message))
}

fn cut(mut line: String) -> String {
    line.truncate(line.floor_char_boundary(MOST));
    line
}
