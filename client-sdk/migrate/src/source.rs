//! An export as a file: opened read-only, every size bounded, nothing ever written or unpacked to disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use jiff::tz::TimeZone;
use lockstep_protocol::id::MediaHash;
use lockstep_protocol::limits::MEDIA_SIZE_BYTES_MAX;
use serde::Serialize;
use thiserror::Error;
use zip::ZipArchive;
use zip::result::ZipError;

/// Longest chat text, bytes. Exports end at 40,000 messages, about 3 MB; the longest message seen has 46 KB.
pub const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most files in an archive.
pub const ARCHIVE_FILES_MAX: usize = 100_000;
/// Most bytes that an archive's files may unpack to, as read and not as promised.
pub const ARCHIVE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// How much a media file may be larger than its packed form. Pictures and films hardly pack; a bomb does by 1,000.
pub const MEDIA_RATIO_MAX: u64 = 200;
/// Packed sizes below this are not judged by [`MEDIA_RATIO_MAX`]: small files of zeros are no bombs.
pub const MEDIA_RATIO_FREE_BYTES: u64 = 1024 * 1024;
/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

const _: () = assert!(MEDIA_RATIO_FREE_BYTES < MEDIA_SIZE_BYTES_MAX && MEDIA_SIZE_BYTES_MAX < ARCHIVE_BYTES_MAX);

/// A media file of an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileEntry {
    /// Its size unpacked, bytes.
    pub size: u64,
    /// Its hash, where the archive was opened to hash its media.
    pub hash: Option<MediaHash>,
}

/// An archive's media files by their plain names, without folders.
pub type Files = BTreeMap<String, FileEntry>;

/// What to do with an archive's media files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaReading {
    /// Take names and sizes from the archive's directory; quick.
    List,
    /// Read every file and hash it; its size and name in the hub are then certain.
    Hash,
}

/// An export, open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The chat's text.
    pub text: Vec<u8>,
    /// The file's name, and in an archive the name of the chat within.
    pub names: Vec<String>,
    /// Media files beside the text.
    pub files: Files,
    /// Files of the archive that were not taken, and why.
    pub skipped: Vec<Skipped>,
}

/// A file of an archive that was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Skipped {
    /// Its place in the archive's directory, from 0.
    pub index: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why a file of an archive was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its name is absolute, climbs out of the archive, or is not text.
    UnsafeName,
    /// Another file has the same plain name.
    NameTaken,
    /// It is a link.
    Link,
    /// It needs a password.
    Encrypted,
    /// It is larger than a message's media may be, or unpacks to far more than it should.
    TooLarge,
    /// Its bytes are damaged.
    Damaged,
}

/// Why an export cannot be opened. Names no content of it.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Not a zip archive, or a damaged one.
    #[error("the archive is damaged: {0}")]
    Archive(#[from] ZipError),
    /// The text is longer than [`TEXT_BYTES_MAX`].
    #[error("the chat's text is longer than {} MiB; is it an export?", TEXT_BYTES_MAX / 1024 / 1024)]
    TextTooLong,
    /// More files than [`ARCHIVE_FILES_MAX`].
    #[error("the archive holds more than {ARCHIVE_FILES_MAX} files")]
    TooManyFiles,
    /// Unpacks to more than [`ARCHIVE_BYTES_MAX`].
    #[error("the archive unpacks to more than {} GiB", ARCHIVE_BYTES_MAX / 1024 / 1024 / 1024)]
    ArchiveTooLarge,
    /// No chat in the archive.
    #[error("the archive holds no chat text (_chat.txt or WhatsApp Chat with ….txt)")]
    NoChat,
    /// More than one file may be the chat.
    #[error("the archive holds {0} texts and none is named like a chat; unpack the right one")]
    ManyChats(usize),
    /// UTF-16.
    #[error("the text is UTF-16; save it as UTF-8")]
    Utf16,
}

impl Source {
    /// Opens a `.txt` or `.zip` export, read-only. Which of both it is, its first bytes say.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or goes beyond a limit of this module.
    pub fn open(path: &Path, media: MediaReading) -> Result<Self, SourceError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self::read(&name, File::open(path)?, media)
    }

    /// The same from bytes in memory.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn from_bytes(name: &str, bytes: &[u8], media: MediaReading) -> Result<Self, SourceError> {
        Self::read(name, Cursor::new(bytes), media)
    }

    fn read(name: &str, mut reader: impl Read + Seek, media: MediaReading) -> Result<Self, SourceError> {
        let mut start = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut start)?;
        reader.rewind()?;
        if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            return Self::archive(name, ZipArchive::new(reader)?, media);
        }
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            return Err(SourceError::Utf16);
        }
        let text = bounded_text(reader)?;
        Ok(Self { text, names: vec![name.to_owned()], files: Files::new(), skipped: Vec::new() })
    }

    fn archive<R: Read + Seek>(name: &str, mut zip: ZipArchive<R>, media: MediaReading) -> Result<Self, SourceError> {
        if zip.len() > ARCHIVE_FILES_MAX {
            return Err(SourceError::TooManyFiles);
        }
        let mut listing = Listing::default();
        for index in 0..zip.len() {
            listing.add(&mut zip, index)?;
        }
        let (chat_name, chat) = listing.chat(name)?;
        listing.plain.remove(&chat_name);
        let text = bounded_text(zip.by_index(chat)?)?;
        let mut source =
            Self { text, names: vec![chat_name, name.to_owned()], files: Files::new(), skipped: listing.skipped };
        let mut budget = ARCHIVE_BYTES_MAX;
        for (name, listed) in listing.plain {
            let entry = match media {
                MediaReading::List => Ok(FileEntry { size: listed.size, hash: None }),
                MediaReading::Hash => hashed(&mut zip, listed, &mut budget)?,
            };
            match entry {
                Ok(entry) => drop(source.files.insert(name, entry)),
                Err(reason) => source.skipped.push(Skipped { index: listed.index, reason }),
            }
        }
        source.skipped.sort_by_key(|skipped| skipped.index);
        Ok(source)
    }
}

#[derive(Clone, Copy)]
struct Listed {
    index: usize,
    size: u64,
    packed: u64,
}

#[derive(Default)]
struct Listing {
    plain: BTreeMap<String, Listed>,
    skipped: Vec<Skipped>,
}

impl Listing {
    fn add<R: Read + Seek>(&mut self, zip: &mut ZipArchive<R>, index: usize) -> Result<(), SourceError> {
        let file = zip.by_index_raw(index)?;
        if file.is_dir() {
            return Ok(());
        }
        let listed = Listed { index, size: file.size(), packed: file.compressed_size() };
        let name = file.name().ok().and_then(|name| plain_name(&name).map(str::to_owned));
        let reason = match &name {
            None => SkipReason::UnsafeName,
            Some(_) if file.is_symlink() => SkipReason::Link,
            Some(_) if file.encrypted() => SkipReason::Encrypted,
            Some(_) if listed.size > MEDIA_SIZE_BYTES_MAX => SkipReason::TooLarge,
            Some(name) if self.plain.contains_key(name) => SkipReason::NameTaken,
            Some(name) => {
                self.plain.insert(name.clone(), listed);
                return Ok(());
            }
        };
        self.skipped.push(Skipped { index, reason });
        Ok(())
    }

    /// Which file is the chat: `_chat.txt`, else one named like a chat or like the archive, else the only text.
    fn chat(&self, archive: &str) -> Result<(String, usize), SourceError> {
        let texts: Vec<(&String, &Listed)> =
            self.plain.iter().filter(|(name, _)| name.to_lowercase().ends_with(".txt")).collect();
        let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_lowercase();
        let tests: [&dyn Fn(&str) -> bool; 4] = [
            &|name| name == "_chat.txt",
            &|name| stem(name) == stem(archive),
            &|name| crate::whatsapp::customer_in(name).is_some(),
            &|_| true,
        ];
        for test in tests {
            match texts.iter().filter(|(name, _)| test(name)).collect::<Vec<_>>()[..] {
                [] => {}
                [(name, listed)] => return Ok(((*name).clone(), listed.index)),
                ref many => return Err(SourceError::ManyChats(many.len())),
            }
        }
        Err(SourceError::NoChat)
    }
}

/// The last part of an entry's path, if the whole of it stays within the archive.
fn plain_name(path: &str) -> Option<&str> {
    let safe = !path.starts_with('/') && !path.contains(['\\', '\0']) && !path.contains(":/");
    let safe = safe && path.split('/').all(|part| !part.is_empty() && part != ".." && part != ".");
    path.rsplit('/').next().filter(|name| safe && !name.chars().any(char::is_control))
}

fn bounded_text(reader: impl Read) -> Result<Vec<u8>, SourceError> {
    let mut text = Vec::new();
    reader.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX { Err(SourceError::TextTooLong) } else { Ok(text) }
}

fn hashed<R: Read + Seek>(
    zip: &mut ZipArchive<R>,
    listed: Listed,
    budget: &mut u64,
) -> Result<Result<FileEntry, SkipReason>, SourceError> {
    let Ok(mut file) = zip.by_index(listed.index) else { return Ok(Err(SkipReason::Damaged)) };
    let allowed = listed.packed.saturating_mul(MEDIA_RATIO_MAX).clamp(MEDIA_RATIO_FREE_BYTES, MEDIA_SIZE_BYTES_MAX);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(Err(SkipReason::Damaged)),
        };
        size += read as u64;
        *budget = budget.checked_sub(read as u64).ok_or(SourceError::ArchiveTooLarge)?;
        if size > allowed {
            return Ok(Err(SkipReason::TooLarge));
        }
        hasher.update(&buffer[..read]);
    }
    Ok(Ok(FileEntry { size, hash: Some(MediaHash(*hasher.finalize().as_bytes())) }))
}

/// The phone's time zone by its IANA name; without one, the zone of the machine that this runs on.
///
/// # Errors
/// If there is no such zone, or the machine's cannot be found out.
pub fn time_zone(name: Option<&str>) -> Result<TimeZone, jiff::Error> {
    name.map_or_else(TimeZone::try_system, TimeZone::get)
}
