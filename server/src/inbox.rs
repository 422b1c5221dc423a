//! The web inbox: the files that its build left in `client-sdk/web/inbox/dist`, in this program. Where it was not built
//! there are none, and the hub says how to get them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;

#[derive(rust_embed::Embed)]
#[folder = "../client-sdk/web/inbox/dist"]
struct Built;

/// What is in this program.
pub(crate) static INBOX: LazyLock<Inbox> = LazyLock::new(|| {
    let names = Built::iter();
    Inbox::new(names.filter_map(|name| Built::get(&name).map(|file| (name.into_owned(), file.data))))
});

/// The page that everything begins with.
const INDEX: &str = "index.html";
/// Files below have their content's hash in their name.
const HASHED: &str = "assets/";
/// Behind the name of a file: the same, compressed with Brotli.
const COMPRESSED: &str = ".br";

/// A file of the inbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct File {
    /// Its media type.
    pub(crate) kind: &'static str,
    /// Tells its content from another's, quoted as an `ETag` is.
    pub(crate) tag: String,
    /// Whether its name changes with its content.
    pub(crate) is_immutable: bool,
    /// As it is.
    pub(crate) plain: Bytes,
    /// Compressed with Brotli, if that makes it shorter.
    pub(crate) brotli: Option<Bytes>,
}

/// The files by name.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    files: BTreeMap<String, File>,
}

impl Inbox {
    fn new(files: impl Iterator<Item = (String, Cow<'static, [u8]>)>) -> Self {
        let all: BTreeMap<String, Bytes> = files.map(|(name, bytes)| (name, bytes.into_owned().into())).collect();
        let shown = |name: &str| !name.ends_with(COMPRESSED) && !name.starts_with('.');
        let files = all.iter().filter(|(name, _)| shown(name)).map(|(name, plain)| {
            let brotli = all.get(&format!("{name}{COMPRESSED}")).filter(|bytes| bytes.len() < plain.len()).cloned();
            let tag = format!("\"{}\"", &blake3::hash(plain).to_hex()[..32]);
            let file =
                File { kind: kind(name), tag, is_immutable: name.starts_with(HASHED), plain: plain.clone(), brotli };
            (name.clone(), file)
        });
        Self { files: files.collect() }
    }

    /// Whether it was built with this program.
    pub(crate) fn is_built(&self) -> bool {
        self.files.contains_key(INDEX)
    }

    /// What stands at a path, `/` for the page itself.
    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        let name = path.strip_prefix('/')?;
        self.files.get(if name.is_empty() { INDEX } else { name })
    }
}

/// The media type that goes with a name: of what an inbox is made of. Browsers are told not to guess.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_at_their_paths() {
        let made = |files: &[(&'static str, &'static [u8])]| {
            Inbox::new(files.iter().map(|(name, bytes)| ((*name).to_owned(), Cow::Borrowed(*bytes))))
        };
        assert!(!made(&[(".gitignore", b"*"), ("assets/a-1.js", b"1")]).is_built());
        let inbox = made(&[
            (".gitignore", b"*"),
            ("index.html", b"<html>"),
            ("index.html.br", b"br"),
            ("assets/a-1.js", b"1"),
            ("assets/a-1.js.br", b"longer"),
            ("assets/m.wasm", b"\0asm"),
        ]);
        assert!(inbox.is_built());
        let rows = [
            ("/", Some(("text/html; charset=utf-8", false, true))),
            ("/index.html", Some(("text/html; charset=utf-8", false, true))),
            // What is not shorter is not sent.
            ("/assets/a-1.js", Some(("text/javascript; charset=utf-8", true, false))),
            ("/assets/m.wasm", Some(("application/wasm", true, false))),
            ("/index.html.br", None),
            ("/.gitignore", None),
            ("/assets/../index.html", None),
            ("index.html", None),
            ("/assets", None),
            ("", None),
        ];
        for (path, expected) in rows {
            let found = inbox.find(path).map(|file| (file.kind, file.is_immutable, file.brotli.is_some()));
            assert_eq!(found, expected, "{path}");
        }
        let tag = |path: &str| inbox.find(path).map(|file| file.tag.clone()).unwrap();
        assert_ne!(tag("/"), tag("/assets/a-1.js"));
        assert_eq!(tag("/").len(), 34);
    }
}
