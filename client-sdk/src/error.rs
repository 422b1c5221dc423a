//! What can go wrong, and what to do about it.

use lockstep_client_core::effect::ActOutcome;
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use thiserror::Error;

use crate::connection::ConnectTrouble;
use crate::store::StoreError;

/// Why something was not done. The text says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The device's store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder holds a device already.
    #[error("{path} holds an enrolled device already; open it, or enrol into an empty folder", path = .0.display())]
    AlreadyEnrolled(std::path::PathBuf),
    /// The system has no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Entropy(String),
    /// No connection to the hub during enrolment.
    #[error(transparent)]
    Connect(#[from] ConnectTrouble),
    /// The hub said no.
    #[error("the hub refused: {}", .0.message)]
    Refused(Box<Refusal>),
    /// It breaks a rule that this device knows: it was not written.
    #[error("not possible: {0}")]
    Rejected(RefusalCode),
    /// It needs a connection, and there is none.
    #[error("this needs a connection to the hub; try again when the device is online")]
    Offline,
    /// The connection broke before the hub answered.
    #[error("the connection broke before the hub answered: it may be done or not; look, then try again")]
    Interrupted,
    /// Too much waits already.
    #[error("too much waits to be written or sent; try again in a moment")]
    Busy,
    /// The store cannot be written; the device has stopped.
    #[error("the device's store cannot be written; check the disk and its free space, then open the device again")]
    StoreFailed,
    /// The hub does not let this device in.
    #[error("the hub does not let this device in: {0}")]
    Stopped(RefusalCode),
    /// This device derives other changes than the hub.
    #[error("this software and the hub's do not fit together; update this one (nothing written here is lost)")]
    UpdateNeeded,
    /// The hub is another one than this device was enrolled with.
    #[error("the hub is another one than this device was enrolled with; enrol into a new folder")]
    WrongHub,
    /// The device, or the view, is closed.
    #[error("the device is closed")]
    Closed,
}

impl Error {
    /// The hub's or the device's refusal code, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused(refusal) => refusal.known(),
            Self::Rejected(code) | Self::Stopped(code) => Some(*code),
            _ => None,
        }
    }
}

/// What an act that is not a success means.
pub(crate) fn failure(outcome: ActOutcome) -> Error {
    match outcome {
        ActOutcome::Rejected(code) => Error::Rejected(code),
        ActOutcome::Offline => Error::Offline,
        ActOutcome::Interrupted => Error::Interrupted,
        ActOutcome::Busy => Error::Busy,
        ActOutcome::StoreFailed => Error::StoreFailed,
        ActOutcome::Written(_) | ActOutcome::Done | ActOutcome::Answered(_) => Error::Interrupted,
    }
}
