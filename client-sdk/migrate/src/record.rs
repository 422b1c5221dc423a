//! One message of an export, as the parsers give it: still in the phone's wall clock and under the sender's shown name.

use jiff::civil::DateTime;

use crate::ledger::Origin;
use crate::media;
use crate::source::FileEntry;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound, voice messages too.
    Audio,
    /// A sticker.
    Sticker,
    /// An animated picture.
    Gif,
    /// Any other file.
    Document,
    /// A contact card.
    Contact,
    /// Media of an unknown kind, left out of the export.
    Media,
    /// A place.
    Location,
    /// A poll.
    Poll,
    /// An event.
    Event,
    /// A call.
    Call,
    /// Media that could be seen once.
    ViewOnce,
    /// Deleted by its author; the body is the app's line.
    Deleted,
    /// What the app itself says.
    System,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Text,
        Self::Image,
        Self::Video,
        Self::Audio,
        Self::Sticker,
        Self::Gif,
        Self::Document,
        Self::Contact,
        Self::Media,
        Self::Location,
        Self::Poll,
        Self::Event,
        Self::Call,
        Self::ViewOnce,
        Self::Deleted,
        Self::System,
    ];

    /// As the fact's `kind` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Sticker => "sticker",
            Self::Gif => "gif",
            Self::Document => "document",
            Self::Contact => "contact",
            Self::Media => "media",
            Self::Location => "location",
            Self::Poll => "poll",
            Self::Event => "event",
            Self::Call => "call",
            Self::ViewOnce => "view_once",
            Self::Deleted => "deleted",
            Self::System => "system",
        }
    }

    /// Reads [`Kind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A file that a message names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// Its name as written.
    pub name: String,
    /// The archive's file of that name; `None` if the archive has none.
    pub file: Option<FileEntry>,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// What it is.
    pub kind: Kind,
    /// Its text, or the caption of its attachment; lines end in `\n`.
    pub body: String,
    /// The file it names.
    pub attachment: Option<Attachment>,
    /// Its media was left out of the export.
    pub omitted: bool,
    /// The app says that it was edited.
    pub edited: bool,
    /// The app says that it was deleted.
    pub deleted: bool,
}

impl Content {
    /// A text of some kind.
    #[must_use]
    pub fn of(kind: Kind, body: &str) -> Self {
        Self { kind, body: body.to_owned(), attachment: None, omitted: false, edited: false, deleted: false }
    }

    /// A named file with its caption.
    #[must_use]
    pub fn attached(attachment: Attachment, caption: String) -> Self {
        let kind = media::kind(&attachment.name);
        Self { kind, body: caption, attachment: Some(attachment), omitted: false, edited: false, deleted: false }
    }

    /// What stays equal between exports of one chat with and without media: a class and the text.
    pub(crate) fn identity(&self) -> (u8, &str) {
        let class = match self.kind {
            Kind::System => 2,
            _ if self.omitted || self.attachment.is_some() => 1,
            _ => 0,
        };
        (class, &self.body)
    }
}

/// One message, or one line of the app's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The lines it came from.
    pub origin: Origin,
    /// When, on the phone's wall clock; exports name no time zone.
    pub at: DateTime,
    /// The sender's shown name; `None` for what the app says.
    pub from: Option<String>,
    /// What it says.
    pub content: Content,
}
