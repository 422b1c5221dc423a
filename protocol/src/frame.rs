//! Frames: everything that travels between a device and the hub.

mod device;
mod hub;

pub use self::device::{Command, DeviceFrame, Enrol, Fetch, Hello, OfferedEntry, Push, PushedFact, Resolve};
pub use self::hub::{
    Catalogue, CatalogueConversation, CatalogueDocument, Entries, EntryBytes, Grant, HubFrame, ListedDevice, Marker,
    Outcome, Snapshot, TailEntry, Team, Welcome,
};

/// What a device chooses to recognise an answer by.
pub type Tag = u64;
