//! The names of the catalogue's sentences as constants: one that is missing, or that nobody says, does not compile.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use fluent_syntax::{
    ast::{CallArguments, Entry, Expression, InlineExpression, Pattern, PatternElement},
    parser,
};

/// The catalogue that names are taken from; the others must have the same.
const FIRST: &str = "src/catalogue/en.ftl";

const OTHERS: [&str; 1] = ["src/catalogue/zh.ftl"];

/// Sentences by name, and what goes into each.
type Sentences = BTreeMap<String, BTreeSet<String>>;

/// Writes `sentences.rs` into the build's folder; an error is the lines to show.
pub(crate) fn write(package: &Path) -> Result<(), Vec<String>> {
    let first = read(package, FIRST)?;
    let mut problems = Vec::new();
    for other in OTHERS {
        let found = read(package, other)?;
        for name in first.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
            match (first.get(name), found.get(name)) {
                (Some(here), Some(there)) if here == there => {}
                (Some(here), Some(there)) => problems.push(format!(
                    "{name}: {FIRST} has the arguments {here:?}, {other} {there:?}"
                )),
                (None, _) => problems.push(format!("{name} is in {other} and not in {FIRST}")),
                (_, None) => problems.push(format!("{name} is in {FIRST} and not in {other}")),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut text = String::new();
    for (name, args) in &first {
        let args: Vec<_> = args.iter().map(|arg| format!("${arg}")).collect();
        let args = match &args[..] {
            [] => String::new(),
            args => format!(" of {}", args.join(", ")),
        };
        let constant = name.replace('-', "_").to_ascii_uppercase();
        text.push_str(&format!(
            "/// `{name}`{args}\npub(crate) const {constant}: Sentence = Sentence({name:?});\n"
        ));
    }
    let folder = env::var_os("OUT_DIR").unwrap_or_default();
    let file = Path::new(&folder).join("sentences.rs");
    fs::write(&file, text)
        .map_err(|error| vec![format!("cannot write {}: {error}", file.display())])
}

fn read(package: &Path, name: &str) -> Result<Sentences, Vec<String>> {
    println!("cargo::rerun-if-changed={name}");
    let text = fs::read_to_string(package.join(name))
        .map_err(|error| vec![format!("cannot read {name}: {error}")])?;
    let parsed = parser::parse(&text[..]).map_err(|(_, errors)| {
        let line = |at: usize| text[..at].lines().count();
        let errors = errors.iter();
        errors
            .map(|error| format!("{name}:{}: {error}", line(error.pos.start)))
            .collect::<Vec<_>>()
    })?;
    let mut found = Sentences::new();
    for entry in parsed.body {
        let Entry::Message(message) = entry else {
            continue;
        };
        let id = message.id.name;
        let Some(value) = &message.value else {
            return Err(vec![format!("{name}: {id} has no text")]);
        };
        let mut args = BTreeSet::new();
        of_pattern(value, &mut args);
        if found.insert(id.to_owned(), args).is_some() {
            return Err(vec![format!("{name}: {id} is there twice")]);
        }
    }
    Ok(found)
}

fn of_pattern(pattern: &Pattern<&str>, args: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        if let PatternElement::Placeable { expression } = element {
            of_expression(expression, args);
        }
    }
}

fn of_expression(expression: &Expression<&str>, args: &mut BTreeSet<String>) {
    match expression {
        Expression::Inline(inline) => of_inline(inline, args),
        Expression::Select { selector, variants } => {
            of_inline(selector, args);
            for variant in variants {
                of_pattern(&variant.value, args);
            }
        }
    }
}

fn of_inline(inline: &InlineExpression<&str>, args: &mut BTreeSet<String>) {
    match inline {
        InlineExpression::VariableReference { id } => {
            args.insert(id.name.to_owned());
        }
        InlineExpression::Placeable { expression } => of_expression(expression, args),
        InlineExpression::FunctionReference { arguments, .. } => of_call(arguments, args),
        _ => {}
    }
}

fn of_call(call: &CallArguments<&str>, args: &mut BTreeSet<String>) {
    for one in &call.positional {
        of_inline(one, args);
    }
    for one in &call.named {
        of_inline(&one.value, args);
    }
}
