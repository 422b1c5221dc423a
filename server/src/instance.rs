//! One process a folder, and the hub's secret in it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use lockstep_protocol::entry::HubKey;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::keychain::{KeyError, Keychain};
use crate::private;

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
    /// A key does not open, or cannot be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// The hub's secret for stamps and cursors, in the folder of keys.
const HUB_KEY: &str = "hub.key";

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

    /// The hub's secret for stamps and cursors. It survives restores; a new hub, whose store is not there yet, gets a new
    /// one.
    ///
    /// # Errors
    /// `KeyMissing`, `Keys`.
    pub(crate) fn hub_key(&self, keychain: &Keychain) -> Result<HubKey, InstanceError> {
        let secret = match keychain.secret(HUB_KEY)? {
            Some(secret) => secret,
            None if self.folder.join("store").exists() => {
                return Err(InstanceError::KeyMissing(self.folder.join("keys").join(HUB_KEY)));
            }
            None => keychain.secret_or_fresh(HUB_KEY)?,
        };
        Ok(HubKey::new(&secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keychain::SealConfig;

    #[test]
    fn one_process_a_folder_and_one_key_a_hub() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::take(folder.path()).unwrap();
        assert!(matches!(Instance::take(folder.path()), Err(InstanceError::Locked(_))));
        let config = SealConfig { root_key: Some(folder.path().join("root.key")), ..SealConfig::default() };
        let keychain = Keychain::open(folder.path(), &config).unwrap();
        instance.hub_key(&keychain).unwrap();
        let key = folder.path().join("keys/hub.key");
        let first = std::fs::read(&key).unwrap();
        instance.hub_key(&keychain).unwrap();
        assert_eq!(std::fs::read(&key).unwrap(), first);
        // As a hub from before sealing has it: it is sealed at once, and stays the same.
        std::fs::write(&key, [7; 32]).unwrap();
        instance.hub_key(&keychain).unwrap();
        assert_eq!(*keychain.secret("hub.key").unwrap().unwrap(), [7; 32]);
        assert!(!std::fs::read(&key).unwrap().windows(8).any(|window| window == [7; 8]));
        std::fs::write(&key, b"short").unwrap();
        assert!(matches!(instance.hub_key(&keychain), Err(InstanceError::Keys(KeyError::SecretDamaged(_)))));
        std::fs::create_dir(folder.path().join("store")).unwrap();
        std::fs::remove_file(&key).unwrap();
        assert!(matches!(instance.hub_key(&keychain), Err(InstanceError::KeyMissing(_))));
        drop(instance);
        Instance::take(folder.path()).unwrap();
    }
}
