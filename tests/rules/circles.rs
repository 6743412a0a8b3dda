//! Modules that use each other in a circle.
//!
//! A module is a file. Below one parent, each child stands for its whole subtree; a child uses a sibling if any file of the one
//! names something of the other: by `use`, by a path in the code, or by a name that a module between them brings in. A child that
//! uses what its ancestor's own file defines, and a parent that uses its children, make no circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{root, sources};
use crate::harness::Result;

pub(super) fn none() -> Result {
    let mut found = Vec::new();
    let mut edges = 0;
    for name in ["kmemtrace", "kmemtrace-ebpf", "kmemtrace-common", "xtask"] {
        let root = root().join("../..").join(name).join("src");
        let files = sources(&root).into_iter();
        let modules = Modules::of(files.map(|(file, code)| (module(&root, &file), code)));
        edges += modules.edges().len();
        for (circle, uses) in modules.circles() {
            found.push(format!("{name}: {circle}\n  {}", uses.join("\n  ")));
        }
    }
    assert!(edges > 500, "only {edges} uses: is the test blind?");
    assert!(found.is_empty(), "circles:\n{}", found.join("\n"));
    Ok(())
}

/// The search itself, on sources that have each kind of circle.
pub(super) fn found() -> Result {
    let circles = |files: &[(&str, &str)]| -> Vec<String> {
        let files = files.iter();
        let files = files.map(|(module, code)| ((*module).to_owned(), (*code).to_owned()));
        let circles = Modules::of(files).circles().into_iter();
        circles.map(|(circle, _)| circle).collect()
    };
    let parent = ("", "mod a;\nmod b;\npub use a::A;\npub struct P;");
    let a = ("a", "use super::b::{self, B};");
    let child = ("a::x", "");
    // `B` needs what `a` defines, each time named in another way.
    for b in [
        "use crate::a::A;",
        "use crate::{P, a as first};",
        "use super::{P, A};",
        "fn b(_: crate::a::x::X) {}",
        "use crate::P;\nfn b<'a>(_: &'a str) -> Option<super::A> { None }",
    ] {
        assert_eq!(circles(&[parent, a, child, ("b", b)]), ["a b"], "{b}");
    }
    // Named in text or used by the parent alone, it is none.
    for b in [
        "use super::P; // and super::a::A\n/* super::A */",
        "const TEXT: &str = \"super::a::A\"; const C: char = '\"';",
        "use std::a::A;",
    ] {
        assert!(circles(&[parent, a, child, ("b", b)]).is_empty(), "{b}");
    }
    // A circle of three, deep below, and between the files of two subtrees.
    let deep = [
        ("", "mod d;"),
        ("d", "mod a;\nmod b;\nmod c;"),
        ("d::a", "mod x;\nuse super::b;"),
        ("d::a::x", ""),
        ("d::b", "mod y;"),
        ("d::b::y", "use crate::d::c::C;"),
        ("d::c", "use super::a::x::X;"),
    ];
    assert_eq!(circles(&deep), ["d: a b c"]);
    Ok(())
}

/// The module that a file is, `a::b`; the crate's own is empty.
pub(super) fn module(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).expect("below the root");
    let inside = inside.with_extension("");
    let names = inside.iter().map(|name| name.to_string_lossy());
    let names: Vec<_> = names.collect();
    match &*names {
        [only] if only == "lib" => String::new(),
        [only] if only == "main" && !root.join("lib.rs").exists() => String::new(),
        names => names.join("::"),
    }
}

type Names = Vec<String>;

/// A crate's modules and what each names.
pub(super) struct Modules {
    /// What the names that a module brings in stand for.
    imports: BTreeMap<String, BTreeMap<String, Names>>,
    /// All paths in its code.
    paths: BTreeMap<String, Vec<Names>>,
}

impl Modules {
    pub(super) fn of(files: impl Iterator<Item = (String, String)>) -> Self {
        let mut modules = Self {
            imports: BTreeMap::new(),
            paths: BTreeMap::new(),
        };
        for (module, code) in files {
            let (imports, paths) = read(&tokens(&code));
            modules.imports.insert(module.clone(), imports);
            modules.paths.insert(module, paths);
        }
        modules
    }

    /// The module that defines what a path names, if it is of this crate.
    fn defines(&self, module: &str, path: &[String], depth: u32) -> Option<String> {
        let mut at = module.to_owned();
        for (n, name) in path.iter().enumerate() {
            let child = join(&at, name);
            match name.as_str() {
                "crate" => at = String::new(),
                "self" => {}
                "super" => at.truncate(parent(&at)?.len()),
                _ if self.paths.contains_key(&child) => at = child,
                _ => {
                    let import = self.imports.get(&at).and_then(|names| names.get(name));
                    return match import {
                        // A name that is brought in under itself would lead nowhere.
                        Some(import) if depth > 0 && import.first() != Some(name) => {
                            let path = [import, &path[n + 1..]].concat();
                            self.defines(&at, &path, depth - 1)
                        }
                        Some(_) => None,
                        None => (n > 0).then_some(at),
                    };
                }
            }
        }
        Some(at)
    }

    /// Which module uses which, and by what path.
    pub(super) fn edges(&self) -> BTreeMap<(String, String), String> {
        let mut edges = BTreeMap::new();
        for (module, paths) in &self.paths {
            for path in paths {
                if let Some(used) = self.defines(module, path, 8)
                    && used != *module
                {
                    edges.insert((module.clone(), used), path.join("::"));
                }
            }
        }
        edges
    }

    /// Groups of siblings each of which uses all others, directly or not: their names, and the uses that make the circle.
    fn circles(&self) -> Vec<(String, Vec<String>)> {
        let mut siblings: BTreeMap<String, BTreeMap<(String, String), String>> = BTreeMap::new();
        for ((user, used), path) in self.edges() {
            let (a, b): (Vec<_>, Vec<_>) = (user.split("::").collect(), used.split("::").collect());
            let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            // One of them is the other's ancestor.
            let (Some(&a), Some(&b)) = (a.get(same), b.get(same)) else {
                continue;
            };
            if a.is_empty() || b.is_empty() {
                continue;
            }
            let common = user.split("::").take(same).collect::<Vec<_>>().join("::");
            let says = format!("{user} uses {used} ({path})");
            let edges = siblings.entry(common).or_default();
            edges.insert((a.to_owned(), b.to_owned()), says);
        }
        let mut circles = Vec::new();
        for (common, edges) in siblings {
            let mut reaches: BTreeSet<(&str, &str)> =
                edges.keys().map(|(a, b)| (&**a, &**b)).collect();
            loop {
                let further: Vec<_> = reaches
                    .iter()
                    .flat_map(|&(a, b)| {
                        let on = reaches
                            .range((b, "")..)
                            .take_while(move |(from, _)| *from == b);
                        on.map(move |&(_, c)| (a, c))
                    })
                    .filter(|pair| !reaches.contains(pair))
                    .collect();
                if further.is_empty() {
                    break;
                }
                reaches.extend(further);
            }
            let both = |a: &str, b: &str| reaches.contains(&(a, b)) && reaches.contains(&(b, a));
            let in_one = edges.keys().map(|(a, _)| a.as_str());
            let in_one = in_one.filter(|a| both(a, a));
            let groups: BTreeSet<Vec<&str>> = in_one
                .map(|a| {
                    let names = edges.keys().map(|(b, _)| b.as_str());
                    let group: BTreeSet<_> = names.filter(|b| both(a, b)).collect();
                    group.into_iter().collect()
                })
                .collect();
            for group in groups {
                let inside = |name: &String| group.contains(&name.as_str());
                let uses = edges.iter().filter(|((a, b), _)| inside(a) && inside(b));
                let uses = uses.map(|(_, says)| says.clone()).collect();
                let names = group.join(" ");
                let circle = match common.as_str() {
                    "" => names,
                    common => format!("{common}: {names}"),
                };
                circles.push((circle, uses));
            }
        }
        circles
    }
}

fn join(module: &str, name: &str) -> String {
    match module {
        "" => name.to_owned(),
        module => format!("{module}::{name}"),
    }
}

fn parent(module: &str) -> Option<&str> {
    match module {
        "" => None,
        module => Some(module.rsplit_once("::").map_or("", |(parent, _)| parent)),
    }
}

/// The names that code brings in, and all its paths.
fn read(tokens: &[String]) -> (BTreeMap<String, Names>, Vec<Names>) {
    let (mut imports, mut paths) = (BTreeMap::new(), Vec::new());
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        if first == "use" {
            rest = tree(after, &Vec::new(), &mut |name, path| {
                imports.insert(name, path.clone());
                paths.push(path);
            });
            continue;
        }
        let mut path = Vec::new();
        rest = path_at(rest, &mut path);
        match path.len() {
            0 => rest = after,
            1 => {}
            _ => paths.push(path),
        }
    }
    (imports, paths)
}

/// Appends the names of the path that the tokens begin with; what comes after it.
fn path_at<'a>(mut tokens: &'a [String], path: &mut Names) -> &'a [String] {
    while let Some((name, after)) = tokens.split_first()
        && name.starts_with(|c: char| c == '_' || c.is_alphabetic())
    {
        path.push(name.clone());
        match after {
            [colons, next, ..] if colons == "::" => {
                tokens = &after[1..];
                if next.starts_with(['{', '*', '<']) {
                    break;
                }
            }
            _ => return after,
        }
    }
    tokens
}

/// Reads one branch of what stands after `use`, to the `,`, `}` or `;` after it.
fn tree<'a>(
    tokens: &'a [String],
    before: &Names,
    each: &mut impl FnMut(String, Names),
) -> &'a [String] {
    let mut path = before.clone();
    let mut rest = path_at(tokens, &mut path);
    match rest {
        [open, ..] if open == "{" => {
            rest = &rest[1..];
            while rest.first().is_some_and(|token| token != "}") {
                rest = tree(rest, &path, each);
                if rest.first().is_some_and(|token| token == ",") {
                    rest = &rest[1..];
                }
            }
            rest.get(1..).unwrap_or_default()
        }
        [star, ..] if star == "*" => {
            each("*".to_owned(), path);
            &rest[1..]
        }
        _ => {
            if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
                path.pop();
            }
            let mut name = path.last().cloned().unwrap_or_default();
            if let [keyword, other, ..] = rest
                && keyword == "as"
            {
                name.clone_from(other);
                rest = &rest[2..];
            }
            each(name, path);
            // Anything else is no `use` that this understands: on to the next token, so that it comes to an end.
            match rest.first().map(String::as_str) {
                Some("," | "}" | ";") | None => rest,
                Some(_) => &rest[1..],
            }
        }
    }
}

/// Words, `::`, and single other characters, without comments and without what stands in quotes.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let word = rest
            .find(|c: char| c != '_' && !c.is_alphanumeric())
            .unwrap_or(rest.len());
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = quoted(rest) {
            len
        } else if word > 0 {
            tokens.push(rest[..word].to_owned());
            word
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    tokens
}

/// The bytes of the string or character that the code begins with, if it does; of a lifetime, those of its quote.
fn quoted(code: &str) -> Option<usize> {
    let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'#');
    let prefix = code.bytes().take(3).position(is_quote)?;
    if prefix > 0 && !["b", "r", "br", "c", "cr"].contains(&&code[..prefix]) {
        return None;
    }
    let hashes = code[prefix..].len() - code[prefix..].trim_start_matches('#').len();
    let body = &code[prefix + hashes..];
    let begins = prefix + hashes + 1;
    if body.starts_with('"') && code[..prefix].contains('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(
            body[1..]
                .find(&end)
                .map_or(code.len(), |at| begins + at + end.len()),
        );
    }
    if hashes > 0 {
        return None;
    }
    let quote = body.chars().next()?;
    let mut chars = body.char_indices().skip(1);
    if quote == '\'' {
        let mut ahead = body.chars().skip(1);
        let (first, second) = (ahead.next()?, ahead.next());
        if first != '\\' && second != Some('\'') {
            return Some(begins);
        }
    }
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Some(prefix + at + 1);
        }
    }
    Some(code.len())
}
