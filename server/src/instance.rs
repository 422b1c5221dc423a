//! One process a folder, and the hub's secret in it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use lockstep_protocol::entry::HubKey;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::{entropy, private};

/// Why a folder cannot be used.
#[derive(Debug, Error)]
pub enum InstanceError {
    /// Another process uses it.
    #[error("{0} is in use by another lockstep process; stop that one first, or give this one another folder")]
    Locked(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// There is a store but no secret.
    #[error(
        "{0} is missing, but the folder holds a store: every stamp in it is made with that key. Put the key back from a \
         copy of the folder"
    )]
    KeyMissing(PathBuf),
    /// The secret is not one.
    #[error("{0} does not hold 32 bytes; put the key back from a copy of the folder")]
    KeyDamaged(PathBuf),
}

/// A folder that is this process's alone while this lives.
#[derive(Debug)]
pub(crate) struct Instance {
    folder: PathBuf,
    _lock: File,
}

impl Instance {
    /// Makes the folder if need be and takes it.
    ///
    /// # Errors
    /// `Locked`, `File`.
    pub(crate) fn take(folder: &Path) -> Result<Self, InstanceError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |error| InstanceError::File { path, error }
        };
        private::make_folder(folder).map_err(file(folder))?;
        let path = folder.join("lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = opened.map_err(file(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(InstanceError::Locked(folder.to_owned())),
            Err(error) => Err(file(&path)(error.into())),
        }
    }

    /// The folder.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hub's secret for stamps and cursors. It survives restores; a new hub gets a new one.
    ///
    /// # Errors
    /// `File`, `KeyMissing`, `KeyDamaged`.
    pub(crate) fn hub_key(&self) -> Result<HubKey, InstanceError> {
        let path = self.folder.join("keys").join("hub.key");
        match std::fs::read(&path) {
            Ok(bytes) => {
                let secret = <[u8; 32]>::try_from(bytes).map_err(|_| InstanceError::KeyDamaged(path))?;
                Ok(HubKey::new(&secret))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.folder.join("store").exists() {
                    return Err(InstanceError::KeyMissing(path));
                }
                let secret: [u8; 32] = entropy::fresh();
                let folder = self.folder.join("keys");
                let made = private::make_folder(&folder).and_then(|()| private::write(&path, &secret));
                made.map_err(|error| InstanceError::File { path, error })?;
                Ok(HubKey::new(&secret))
            }
            Err(error) => Err(InstanceError::File { path, error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_a_folder_and_one_key_a_hub() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::take(folder.path()).unwrap();
        assert!(matches!(Instance::take(folder.path()), Err(InstanceError::Locked(_))));
        instance.hub_key().unwrap();
        let key = folder.path().join("keys/hub.key");
        let first = std::fs::read(&key).unwrap();
        instance.hub_key().unwrap();
        assert_eq!(std::fs::read(&key).unwrap(), first);
        std::fs::write(&key, b"short").unwrap();
        assert!(matches!(instance.hub_key(), Err(InstanceError::KeyDamaged(_))));
        std::fs::create_dir(folder.path().join("store")).unwrap();
        std::fs::remove_file(&key).unwrap();
        assert!(matches!(instance.hub_key(), Err(InstanceError::KeyMissing(_))));
        drop(instance);
        Instance::take(folder.path()).unwrap();
    }
}
