//! The sentences that people read, in their language: `catalogue/en.ftl` and `catalogue/zh.ftl`, in Fluent's syntax.

mod message;
mod reasons;

use std::borrow::Cow;

use clap::ValueEnum;
use fluent_bundle::{FluentArgs, FluentBundle, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

pub use message::{Arg, Message};

use crate::text::{
    escape::Name,
    units::{Bytes, Date, Duration},
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

    /// A sentence that nothing goes into.
    pub fn word(&self, id: &'static str) -> String {
        self.text(&Message::new(id))
    }

    /// A sentence.
    pub fn text(&self, message: &Message) -> String {
        let mut args = FluentArgs::new();
        for (name, arg) in &message.args {
            args.set(*name, self.value(arg));
        }
        let found = self.bundles.iter().find_map(|bundle| {
            let pattern = bundle.get_message(message.id)?.value()?;
            // A part that is missing is shown by its name; a test sees to it that none is.
            let mut missing = Vec::new();
            let text = bundle.format_pattern(pattern, Some(&args), &mut missing);
            Some(text.into_owned())
        });
        found.unwrap_or_else(|| message.id.to_owned())
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
            Arg::Reason(text) => {
                let known = reasons::chinese(text).filter(|_| self.lang == Lang::Zh);
                known.map_or_else(|| self.foreign(text), FluentValue::from)
            }
            Arg::Number(number) => FluentValue::from(*number),
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

fn bundle((language, source): (&str, &str)) -> FluentBundle<FluentResource> {
    // By which rules plurals go.
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = FluentBundle::new(vec![language]);
    // Marks around what goes in are for text of mixed direction, and would be in the way of whoever copies a path.
    bundle.set_use_isolating(false);
    // What cannot be parsed is left out, and shown by its name; a test sees to it that nothing is.
    let resource =
        FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
    let _ = bundle.add_resource(resource);
    bundle
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;

    /// The names in a catalogue, and what goes into each.
    fn sentences(source: &str) -> BTreeMap<String, Vec<String>> {
        let parsed = FluentResource::try_new(source.to_owned());
        parsed
            .map_err(|(_, errors)| errors)
            .expect("it can be parsed");
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut last = String::new();
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, _)) = line.split_once(" =").filter(|_| !line.starts_with(' ')) {
                name.clone_into(&mut last);
                assert!(
                    found.insert(last.clone(), Vec::new()).is_none(),
                    "{name} twice"
                );
            }
            for part in line.split('$').skip(1) {
                let end = part
                    .find(|c: char| !c.is_ascii_lowercase())
                    .unwrap_or(part.len());
                let args = found.get_mut(&last).expect("an argument in a sentence");
                if !args.iter().any(|arg| arg == &part[..end]) {
                    args.push(part[..end].to_owned());
                }
            }
        }
        for args in found.values_mut() {
            args.sort();
        }
        found
    }

    #[test]
    fn both_languages_say_the_same() {
        let (en, zh) = (sentences(EN.1), sentences(ZH.1));
        for (name, args) in &en {
            let other = zh
                .get(name)
                .unwrap_or_else(|| panic!("zh.ftl lacks {name}"));
            assert_eq!(args, other, "{name}");
        }
        assert_eq!(en.len(), zh.len());
        assert!(en.len() > 100, "{}", en.len());
    }

    /// The names in the sources: whatever stands in quotes and has the form of one.
    fn quoted(folder: &Path, found: &mut String) {
        for entry in fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                quoted(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push_str(&fs::read_to_string(&path).expect("a source"));
            }
        }
    }

    #[test]
    fn every_sentence_is_there_and_is_used() {
        let mut source = String::new();
        for module in ["diagnose", "cli"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("src")
                .join(module);
            quoted(&folder, &mut source);
        }
        let en = sentences(EN.1);
        let unused: Vec<_> = en
            .keys()
            .filter(|name| {
                let remedy = name.strip_prefix("remedy-").is_some_and(|rest| {
                    let ends = ["-cost", "-risk", "-verify"];
                    let id = ends
                        .iter()
                        .find_map(|end| rest.strip_suffix(end))
                        .unwrap_or(rest);
                    source.contains(&format!("remedy!(\"{id}\""))
                        || source.contains(&format!("\"{id}\","))
                });
                !remedy && !source.contains(&format!("\"{name}\""))
            })
            .collect();
        assert!(unused.is_empty(), "{unused:?}");
        for start in ["Message::new(\"", ".word(\"", "says(\""] {
            for part in source.split(start).skip(1) {
                let name = part.split('"').next().unwrap_or_default();
                assert!(en.contains_key(name), "en.ftl lacks {name}");
            }
        }
    }
}
