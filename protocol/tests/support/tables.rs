//! The types that travel, read from the source's text: names, numbers, wire types and the words of their docs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const SOURCES: &[&str] = &[
    include_str!("../../src/frame/device.rs"),
    include_str!("../../src/frame/hub.rs"),
    include_str!("../../src/refusal.rs"),
    include_str!("../../src/entry.rs"),
    include_str!("../../src/cursor.rs"),
    include_str!("../../src/fact.rs"),
    include_str!("../../src/directory.rs"),
    include_str!("../../src/snapshot.rs"),
];

/// A numbered field.
pub(crate) struct Field {
    pub(crate) number: u32,
    name: String,
    wire: String,
    doc: String,
}

/// A numbered variant.
pub(crate) struct Variant {
    pub(crate) number: u32,
    name: String,
    doc: String,
    fields: Vec<Field>,
}

/// A type.
pub(crate) enum Item {
    Struct { name: String, doc: String, fields: Vec<Field> },
    Enum { name: String, doc: String, plain: bool, variants: Vec<Variant> },
}

impl Item {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Struct { name, .. } | Self::Enum { name, .. } => name,
        }
    }

    pub(crate) fn is_frame(&self) -> bool {
        self.name().ends_with("Frame")
    }

    pub(crate) fn write(&self, out: &mut String) {
        let written = match self {
            Self::Struct { name, doc, fields } => {
                let mut rows = String::new();
                for Field { number, name, wire, doc } in fields {
                    let _ = writeln!(rows, "| {number} | {name} | {wire} | {doc} |");
                }
                write!(
                    out,
                    "\n### {name}\n\n{}| index | field | type | meaning |\n|---|---|---|---|\n{rows}",
                    paragraph(doc)
                )
            }
            Self::Enum { name, doc, plain: true, variants } => {
                let mut rows = String::new();
                for Variant { number, name, doc, .. } in variants {
                    let _ = writeln!(rows, "| {number} | {name} | {doc} |");
                }
                write!(
                    out,
                    "\n### {name}\n\n{doc} A plain integer.\n\n| number | name | meaning |\n|---|---|---|\n{rows}"
                )
            }
            Self::Enum { name, doc, plain: false, variants } => {
                let mut rows = String::new();
                for Variant { number, name, doc, fields } in variants {
                    let fields = fields.iter().map(|field| match (&field.name[..], &field.doc[..]) {
                        ("", _) => format!("{}: {}", field.number, field.wire),
                        (name, doc) => {
                            format!("{}: {name}, {} ({})", field.number, field.wire, doc.trim_end_matches('.'))
                        }
                    });
                    let fields = fields.collect::<Vec<_>>().join("; ");
                    let _ = writeln!(
                        rows,
                        "| {number} | {name} | {} | {doc} |",
                        if fields.is_empty() { "–" } else { &fields }
                    );
                }
                let head = "| number | name | fields | meaning |\n|---|---|---|---|\n";
                write!(out, "\n### {name}\n\n{doc} A flat array: the number, then the fields.\n\n{head}{rows}")
            }
        };
        written.expect("writing to a string cannot fail");
    }
}

/// Every type with numbered fields or variants, in the order of the source.
pub(crate) fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for source in SOURCES {
        read(source, &mut items);
    }
    items
}

fn read(source: &str, items: &mut Vec<Item>) {
    let (mut doc, mut attributes) = (String::new(), String::new());
    let mut open: Option<Item> = None;
    for line in source.lines() {
        let text = line.trim();
        if let Some(words) = text.strip_prefix("///") {
            let words = words.trim();
            let _ = write!(doc, "{}{words}", if doc.is_empty() { "" } else { " " });
            continue;
        }
        if text.starts_with("#[") {
            attributes.push_str(text);
            continue;
        }
        let (doc, attributes) = (plain_words(&std::mem::take(&mut doc)), std::mem::take(&mut attributes));
        if let Some(rest) = text.strip_prefix("pub struct ")
            && let Some(name) = rest.strip_suffix(" {")
        {
            open = Some(Item::Struct { name: name.to_owned(), doc, fields: Vec::new() });
        } else if let Some(rest) = text.strip_prefix("pub enum ")
            && let Some(name) = rest.strip_suffix(" {")
        {
            let plain = attributes.contains("index_only");
            open = Some(Item::Enum { name: name.to_owned(), doc, plain, variants: Vec::new() });
        } else if line == "}" {
            items.extend(open.take().filter(|item| match item {
                Item::Struct { fields, .. } => !fields.is_empty(),
                Item::Enum { variants, .. } => !variants.is_empty(),
            }));
        } else if let Some(number) = number(&attributes) {
            match &mut open {
                Some(Item::Struct { fields, .. }) => fields.extend(field(number, text, doc)),
                Some(Item::Enum { variants, .. }) if line.starts_with("        ") => {
                    let variant = variants.last_mut().expect("a field lies in a variant");
                    variant.fields.extend(field(number, text, doc));
                }
                Some(Item::Enum { variants, .. }) => variants.push(variant(number, text, doc)),
                None => {}
            }
        }
    }
}

fn paragraph(doc: &str) -> String {
    if doc.is_empty() { String::new() } else { format!("{doc}\n\n") }
}

/// The `n(…)` of an attribute.
fn number(attributes: &str) -> Option<u32> {
    let (_, rest) = attributes.split_once("n(")?;
    rest.split_once(')')?.0.parse().ok()
}

fn field(number: u32, text: &str, doc: String) -> Option<Field> {
    let (name, kind) = text.trim_start_matches("pub ").split_once(": ")?;
    Some(Field { number, name: name.to_owned(), wire: wire(kind.trim_end_matches(',')), doc })
}

fn variant(number: u32, text: &str, doc: String) -> Variant {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
    let mut fields = Vec::new();
    if let Some((_, held)) = text.split_once("(#[n(0)] ") {
        let wire = wire(held.trim_end_matches([',', ')']));
        fields.push(Field { number: 0, name: String::new(), wire, doc: String::new() });
    }
    Variant { number, name, doc, fields }
}

fn wire(kind: &str) -> String {
    let inside = |outer: &str| kind.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>')).map(wire);
    if let Some(inner) = inside("Option<") {
        return format!("{inner}, optional");
    }
    if kind == "Vec<u8>" || kind == "Bytes" {
        return "bytes".to_owned();
    }
    if let Some(inner) = inside("Vec<") {
        return format!("list of {inner}");
    }
    if let Some(inner) = inside("Box<") {
        return inner;
    }
    match kind {
        "u64" | "Tag" => "uint 64",
        "u32" => "uint 32",
        "Keep" => "uint 32: days, 0 for ever",
        "u16" => "uint 16",
        "String" => "text",
        "EntryBytes" => "bytes of an Entry",
        other => other,
    }
    .to_owned()
}

/// Docs without links: ``[`Name`](path)`` and ``[`Name`]`` become `Name`. What only points at a frame's row goes.
fn plain_words(doc: &str) -> String {
    let doc = match doc.strip_prefix("See [`").and_then(|rest| rest.split_once("Frame::")) {
        Some((_, rest)) => rest.split_once("`].").expect("a link ends a sentence").1.trim(),
        None => doc,
    };
    let mut words = String::new();
    let mut rest = doc;
    while let Some((before, after)) = rest.split_once("[`") {
        words.push_str(before);
        let (name, after) = after.split_once("`]").expect("a link's text ends");
        let _ = write!(words, "`{name}`");
        rest = match after.strip_prefix('(') {
            Some(path) => path.split_once(')').expect("a link's path ends").1,
            None => after,
        };
    }
    words.push_str(rest);
    words
}

/// Name, value and meaning of every limit.
pub(crate) fn limits() -> Vec<(String, u64, String)> {
    let mut known = BTreeMap::<String, u64>::new();
    let mut limits = Vec::new();
    let mut doc = String::new();
    for line in include_str!("../../src/limits.rs").lines() {
        if let Some(words) = line.strip_prefix("///") {
            let _ = write!(doc, "{}{}", if doc.is_empty() { "" } else { " " }, words.trim());
            continue;
        }
        let doc = plain_words(&std::mem::take(&mut doc));
        let Some(rest) = line.strip_prefix("pub const ") else { continue };
        let (name, rest) = rest.split_once(": ").expect("a limit has a type");
        let (_, value) = rest.split_once(" = ").expect("a limit has a value");
        let factors = value.trim_end_matches(';').split(" * ").map(|factor| match factor.replace('_', "").parse() {
            Ok(number) => number,
            Err(_) => *known.get(factor).unwrap_or_else(|| panic!("{name}: {factor} is no earlier limit")),
        });
        let value = factors.product();
        known.insert(name.to_owned(), value);
        limits.push((name.to_owned(), value, doc));
    }
    limits
}
