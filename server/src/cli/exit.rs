//! Exit codes: those of sysexits.h where it has one.

use crate::admin::Failure;
use crate::config::ConfigProblems;
use crate::keychain::KeyError;
use crate::server::ServerError;

/// How the program ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Refused, or it did not work; the message says why.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 64,
    /// Bad input data.
    Data = 65,
    /// No hub is running, or it cannot be reached.
    Unavailable = 69,
    /// A bug: please report.
    Internal = 70,
    /// The folder or port is in use, or the system refuses something.
    System = 71,
    /// The disk or the store: nothing was acknowledged that is not safe.
    Io = 74,
    /// Not permitted to this user.
    NotPermitted = 77,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb failed.
#[derive(Debug)]
pub struct Failed {
    /// The exit code.
    pub exit: Exit,
    /// For programs; stable.
    pub code: String,
    /// For people: what happened and what to do.
    pub message: String,
}

impl Failed {
    /// With an exit code, a code and a text.
    #[must_use]
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into() }
    }
}

impl From<ConfigProblems> for Failed {
    fn from(problems: ConfigProblems) -> Self {
        Self::new(Exit::Usage, "configuration", problems.to_string())
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let exit = match failure.code.as_str() {
            "not_running" | "stopping" => Exit::Unavailable,
            "not_permitted" => Exit::NotPermitted,
            "panicked" | "unexpected" => Exit::Internal,
            "store" | "certificate" | "keys" => Exit::Io,
            _ => Exit::Failed,
        };
        Self { exit, code: failure.code, message: failure.message }
    }
}

impl From<ServerError> for Failed {
    fn from(error: ServerError) -> Self {
        let (exit, code) = match &error {
            ServerError::Instance(_) => (Exit::System, "folder"),
            ServerError::Keys(error) => (of_keys(error), "keys"),
            ServerError::Store(_) => (Exit::Io, "store"),
            ServerError::Log(_) => (Exit::Io, "log"),
            ServerError::Tls(_) => (Exit::Usage, "certificate"),
            ServerError::Admin(_) | ServerError::Listen { .. } | ServerError::Thread(_) => (Exit::System, "system"),
            ServerError::WordsUnreadable => (Exit::Io, "words"),
            ServerError::Words(_) => (Exit::Usage, "words"),
            ServerError::Panicked => (Exit::Internal, "panicked"),
        };
        Self::new(exit, code, error.to_string())
    }
}

/// A missing or wrong root key is a matter of permission: no retry helps.
const fn of_keys(error: &KeyError) -> Exit {
    match error {
        KeyError::Store(_) => Exit::Io,
        error if error.is_of_root() => Exit::NotPermitted,
        _ => Exit::System,
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::System, "system", error.to_string())
    }
}

impl From<lockstep_client::Error> for Failed {
    fn from(error: lockstep_client::Error) -> Self {
        use lockstep_client::Error;
        let (exit, code) = match &error {
            Error::Store(_) | Error::StoreFailed => (Exit::Io, "store"),
            Error::AlreadyEnrolled(_) => (Exit::Usage, "already_enrolled"),
            Error::Connect(_) => (Exit::Unavailable, "connect"),
            Error::Offline => (Exit::Unavailable, "offline"),
            Error::Interrupted => (Exit::Unavailable, "interrupted"),
            Error::Refused(_) | Error::Rejected(_) | Error::Stopped(_) => (Exit::Failed, "refused"),
            Error::WrongHub => (Exit::Failed, "wrong_hub"),
            Error::UpdateNeeded => (Exit::Failed, "update_needed"),
            Error::Busy => (Exit::Failed, "busy"),
            _ => (Exit::Failed, "closed"),
        };
        let code =
            error.code().map_or_else(|| code.to_owned(), |refusal| crate::admin::snake_case(&format!("{refusal:?}")));
        Self { exit, code, message: error.to_string() }
    }
}
