//! The sentences that people read, in their language: `catalogue/en.ftl` and `catalogue/zh.ftl`, in Fluent's syntax.

mod errno;
mod message;
pub(crate) mod say;

use std::borrow::Cow;

use clap::ValueEnum;
use fluent_bundle::{
    FluentArgs, FluentBundle, FluentResource, FluentValue,
    types::{FluentNumber, FluentNumberOptions},
};
use unic_langid::LanguageIdentifier;

pub use message::{Arg, Message};
pub use say::Sentence;

use crate::text::{
    escape::Name,
    units::{Bytes, Date, Duration, Grouped},
};

const EN: (&str, &str) = ("en", include_str!("catalogue/en.ftl"));
const ZH: (&str, &str) = ("zh", include_str!("catalogue/zh.ftl"));

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    #[default]
    En,
    /// Chinese
    Zh,
}

/// Sentences in one language; what that lacks is in English.
pub struct Catalogue {
    lang: Lang,
    bundles: Vec<FluentBundle<FluentResource>>,
    escape: bool,
}

impl Catalogue {
    /// For a terminal: what comes from outside is made harmless.
    pub fn shown(lang: Lang) -> Self {
        Self::new(lang, true)
    }

    /// For a program: what comes from outside stays as it is.
    pub fn exact(lang: Lang) -> Self {
        Self::new(lang, false)
    }

    fn new(lang: Lang, escape: bool) -> Self {
        let languages = match lang {
            Lang::En => vec![EN],
            Lang::Zh => vec![ZH, EN],
        };
        let bundles = languages.into_iter().map(bundle).collect();
        Self {
            lang,
            bundles,
            escape,
        }
    }

    /// Its language, as HTML names it.
    pub fn lang(&self) -> &'static str {
        match self.lang {
            Lang::En => EN.0,
            Lang::Zh => ZH.0,
        }
    }

    /// A sentence that nothing goes into.
    pub fn word(&self, sentence: Sentence) -> String {
        self.text(&Message::new(sentence))
    }

    /// A sentence.
    pub fn text(&self, message: &Message) -> String {
        let mut args = FluentArgs::new();
        for (name, arg) in &message.args {
            args.set(*name, self.value(arg));
        }
        let found = self.bundles.iter().find_map(|bundle| {
            let pattern = bundle.get_message(message.sentence.0)?.value()?;
            // A part that is missing is shown by its name.
            let mut missing = Vec::new();
            let text = bundle.format_pattern(pattern, Some(&args), &mut missing);
            debug_assert!(missing.is_empty(), "{}: {missing:?}", message.sentence.0);
            Some(text.into_owned())
        });
        found.unwrap_or_else(|| message.sentence.0.to_owned())
    }

    /// What goes into a sentence, by itself.
    pub fn arg(&self, arg: &Arg) -> String {
        match self.value(arg) {
            FluentValue::String(text) => text.into_owned(),
            FluentValue::Number(number) => number.as_string().into_owned(),
            _ => String::new(),
        }
    }

    fn value(&self, arg: &Arg) -> FluentValue<'static> {
        match arg {
            Arg::Text(text) => self.foreign(text),
            Arg::Error(said) => {
                let known = said.number().and_then(errno::sentence);
                known.map_or_else(
                    || self.foreign(&said.to_string()),
                    |sentence| self.word(sentence).into(),
                )
            }
            Arg::Number(number) => self::number(*number, false),
            Arg::Grouped(number) => self::number(*number, true),
            Arg::Bytes(bytes) => FluentValue::from(Bytes(*bytes).to_string()),
            Arg::Time(ns) => FluentValue::from(Duration(*ns).to_string()),
            Arg::Date(ns) => FluentValue::from(Date(*ns).to_string()),
            Arg::Message(message) => FluentValue::from(self.text(message)),
        }
    }

    fn foreign(&self, text: &str) -> FluentValue<'static> {
        FluentValue::String(Cow::Owned(if self.escape {
            Name::whole(text.as_bytes()).to_string()
        } else {
            text.to_owned()
        }))
    }
}

/// A number, which chooses the plural.
fn number(number: u64, use_grouping: bool) -> FluentValue<'static> {
    let options = FluentNumberOptions {
        use_grouping,
        ..FluentNumberOptions::default()
    };
    FluentNumber::new(number as f64, options).into()
}

/// How numbers are written that have their thousands apart.
fn grouped<M>(value: &FluentValue<'_>, _: &M) -> Option<String> {
    match value {
        FluentValue::Number(number) if number.options.use_grouping => {
            Some(Grouped(number.value as u64).to_string())
        }
        _ => None,
    }
}

fn bundle((language, source): (&str, &str)) -> FluentBundle<FluentResource> {
    // By which rules plurals go.
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = FluentBundle::new(vec![language]);
    // Marks around what goes in are for text of mixed direction, and would be in the way of whoever copies a path.
    bundle.set_use_isolating(false);
    bundle.set_formatter(Some(grouped));
    // What cannot be parsed is left out, and shown by its name; the build sees to it that nothing is.
    let resource =
        FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
    let _ = bundle.add_resource(resource);
    bundle
}
