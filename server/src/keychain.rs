//! The hub's keys: the root key, from wherever its operator keeps it, and what it opens: the ring of data keys, and the
//! hub's other secrets.
//!
//! `keys/data.keys` is rewritten whole, and durable before anything is sealed under a key that it did not hold before.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use lockstep_protocol::id::HubId;
use lockstep_seal::record;
use lockstep_seal::{
    Class, DataKeyId, FRESH_KEY_BYTES, KeyFile, KeyFileError, KeyRing, Passphrase, PassphraseError, Place, RecordError,
    RootKey,
};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::store::{FIRST_SEALED_FORMAT, Store, StoreError};
use crate::{entropy, private};

/// The folder of keys, in the hub's.
const FOLDER: &str = "keys";
/// The file of data keys, in that.
const FILE: &str = "data.keys";
/// Family that the hub's own secrets are sealed for.
const SECRETS: &str = "keys";
/// Where the root key of a hub in the usual folder lies.
const SYSTEM_FOLDER: &str = "/var/lib/lockstep";
const SYSTEM_ROOT_KEY: &str = "/etc/lockstep/root.key";
/// The credential that systemd hands over, see `server/systemd/lockstep.service`.
const CREDENTIAL: &str = "lockstep-root-key";
/// The passphrase, where it comes through the environment.
const PASSPHRASE_VARIABLE: &str = "LOCKSTEP_PASSPHRASE";

/// What is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SealMode {
    /// Everything that tells more than ids and numbers.
    #[default]
    All,
    /// Records of the vault class alone.
    Sensitive,
}

/// What is sealed, and where the root key comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SealConfig {
    /// What is sealed.
    pub mode: SealMode,
    /// File of the root key, if not in its usual place.
    pub root_key: Option<PathBuf>,
    /// File of a passphrase that the root key comes from.
    pub passphrase_file: Option<PathBuf>,
}

/// Where the root key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RootSource {
    /// A file.
    File(PathBuf),
    /// A file that systemd hands over.
    Credential(PathBuf),
    /// A passphrase in a file.
    PassphraseFile(PathBuf),
    /// A passphrase in the environment.
    PassphraseVariable,
}

impl fmt::Display for RootSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Credential(path) => write!(f, "systemd's credential {}", path.display()),
            Self::PassphraseFile(path) => write!(f, "the passphrase in {}", path.display()),
            Self::PassphraseVariable => write!(f, "the passphrase in {PASSPHRASE_VARIABLE}"),
        }
    }
}

/// Why the hub has no keys.
#[derive(Debug, Error)]
pub enum KeyError {
    /// There is no root key, and something is sealed under one.
    #[error(
        "the root key is missing: {0}. Nothing that this hub holds can be read without it. Put it back from your copy, or \
         say where it is (seal.root_key)"
    )]
    RootMissing(PathBuf),
    /// The file of the root key holds something else.
    #[error("{0} does not hold a root key (64 hex digits); put it back from your copy")]
    RootMalformed(PathBuf),
    /// There is no passphrase.
    #[error(
        "the root key of this hub comes from a passphrase: put it into a file and name that (seal.passphrase_file), or \
         into the environment (LOCKSTEP_PASSPHRASE)"
    )]
    PassphraseMissing,
    /// There is one, but the keys were not made with any.
    #[error(
        "a passphrase is given, but the keys of this hub are wrapped under the root key of a file: take \
         seal.passphrase_file and LOCKSTEP_PASSPHRASE away"
    )]
    PassphraseUnasked,
    /// The passphrase gives no key.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The root key is another one.
    #[error(
        "{root} is not the root key of this hub: {file} was made with another. Nothing was changed; put the right one there"
    )]
    WrongRoot {
        /// Where the root key came from.
        root: RootSource,
        /// The file that it does not open.
        file: PathBuf,
    },
    /// The file of keys is not there.
    #[error(
        "{0} is missing, but the store is sealed: what it holds cannot be read without that file. Put it back from a copy \
         of the folder"
    )]
    FileMissing(PathBuf),
    /// The file of keys is not what was written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyFileError,
    },
    /// A sealed secret does not open.
    #[error("{0} is damaged, or another hub's; put it back from a copy of the folder")]
    SecretDamaged(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store, which says whose keys they would be.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    /// Whether it is the root key that is missing or wrong: trying again changes nothing.
    #[must_use]
    pub const fn is_of_root(&self) -> bool {
        !matches!(
            self,
            Self::FileMissing(_) | Self::File { .. } | Self::SecretDamaged(_) | Self::Io { .. } | Self::Store(_)
        )
    }
}

/// What `lockstep key status` shows.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct KeyStatus {
    /// Where the root key comes from.
    pub root: String,
    /// "all" or "sensitive".
    pub mode: String,
    /// Of the key-encryption keys.
    pub generation: u32,
    /// Data keys.
    pub keys: usize,
    /// Of these, those that nobody uses yet.
    pub spare: usize,
    /// Destroyed data keys.
    pub destroyed: usize,
    /// Whether rows from before sealing are all sealed.
    pub complete: bool,
}

/// The hub's keys.
#[derive(Debug)]
pub struct Keychain {
    folder: PathBuf,
    root: RootKey,
    source: RootSource,
    passphrase: Option<Passphrase>,
    mode: SealMode,
    hub: HubId,
    ring: RwLock<KeyRing>,
}

impl Keychain {
    /// Opens the keys of the hub in `folder`, or makes them: for a new hub, and for one whose store is older than
    /// sealing. A root key that nothing hangs on yet is made, too.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn open(folder: &Path, config: &SealConfig) -> Result<Self, KeyError> {
        let path = folder.join(FOLDER).join(FILE);
        let file = match std::fs::read(&path) {
            Ok(bytes) => KeyFile::parse(&bytes).map_err(|error| KeyError::File { path: path.clone(), error })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::make(folder, &path, config),
            Err(error) => return Err(KeyError::io(&path)(error)),
        };
        let source = locate(folder, config);
        let passphrase = file.passphrase().cloned();
        let root = match (&passphrase, passphrase_of(&source)?) {
            (Some(parameters), Some(text)) => parameters.root_key(&text)?,
            (Some(_), None) => return Err(KeyError::PassphraseMissing),
            (None, Some(_)) => return Err(KeyError::PassphraseUnasked),
            (None, None) => read_root(&source)?.ok_or_else(|| KeyError::RootMissing(path_of(&source)))?,
        };
        let ring = file.open(&root).map_err(|error| match error {
            KeyFileError::WrongRoot => KeyError::WrongRoot { root: source.clone(), file: path.clone() },
            error => KeyError::File { path: path.clone(), error },
        })?;
        let hub = ring.hub();
        let folder = folder.join(FOLDER);
        let keychain = Self { folder, root, source, passphrase, mode: config.mode, hub, ring: RwLock::new(ring) };
        if keychain.mode == SealMode::Sensitive && keychain.is_complete() {
            // From now on rows come in the clear.
            keychain.set_complete(false)?;
        }
        Ok(keychain)
    }

    fn make(folder: &Path, path: &Path, config: &SealConfig) -> Result<Self, KeyError> {
        let (hub, is_new) = match Store::peek(folder)? {
            Some((format, _)) if format >= FIRST_SEALED_FORMAT => return Err(KeyError::FileMissing(path.to_owned())),
            Some((_, hub)) => (hub, false),
            None => (HubId(entropy::fresh()), true),
        };
        let source = locate(folder, config);
        let (root, passphrase) = match passphrase_of(&source)? {
            Some(text) => {
                let parameters = Passphrase::new(entropy::fresh());
                (parameters.root_key(&text)?, Some(parameters))
            }
            None => match read_root(&source)? {
                Some(root) => (root, None),
                None => (make_root(&source)?, None),
            },
        };
        let mut ring = KeyRing::new(hub);
        ring.set_complete(is_new && config.mode == SealMode::All);
        for class in Class::ALL {
            fill(&mut ring, class);
        }
        let folder = folder.join(FOLDER);
        private::make_folder(&folder).map_err(KeyError::io(&folder))?;
        let keychain = Self { folder, root, source, passphrase, mode: config.mode, hub, ring: RwLock::new(ring) };
        keychain.save(&keychain.ring())?;
        Ok(keychain)
    }

    /// Whose keys they are.
    #[must_use]
    pub const fn hub(&self) -> HubId {
        self.hub
    }

    /// What is sealed.
    #[must_use]
    pub const fn mode(&self) -> SealMode {
        self.mode
    }

    /// Where the root key comes from.
    #[must_use]
    pub const fn source(&self) -> &RootSource {
        &self.source
    }

    /// The ring, for sealing and opening.
    pub(crate) fn ring(&self) -> RwLockReadGuard<'_, KeyRing> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every row that can be sealed is.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ring().is_complete()
    }

    /// For people and programs.
    #[must_use]
    pub fn status(&self) -> KeyStatus {
        let ring = self.ring();
        KeyStatus {
            root: self.source.to_string(),
            mode: match self.mode {
                SealMode::All => "all".into(),
                SealMode::Sensitive => "sensitive".into(),
            },
            generation: ring.generation(),
            keys: ring.len(),
            spare: Class::ALL.iter().map(|class| ring.spare(*class)).sum(),
            destroyed: ring.gone(),
            complete: ring.is_complete(),
        }
    }

    /// A new generation: all data keys are wrapped anew. Answers its number.
    ///
    /// # Errors
    /// `Io`: then the file is as it was.
    pub fn rotate(&self) -> Result<u32, KeyError> {
        self.change(|ring| {
            ring.rotate();
            ring.generation()
        })
    }

    /// Says, durably, whether every row that can be sealed is.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn set_complete(&self, complete: bool) -> Result<(), KeyError> {
        self.change(|ring| ring.set_complete(complete))
    }

    /// Destroys data keys, durably. What they sealed cannot be read any more. Answers how many were there.
    ///
    /// # Errors
    /// `Io`: then they may come back with the file as it was.
    pub(crate) fn destroy(&self, ids: &[DataKeyId]) -> Result<usize, KeyError> {
        self.change(|ring| ids.iter().filter(|id| ring.destroy(**id)).count())
    }

    /// A key for somebody who has none. It is in the file of keys, durably.
    ///
    /// # Errors
    /// `Io`, if the file had to be written and could not be.
    pub(crate) fn take(&self, class: Class) -> Result<DataKeyId, KeyError> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(id) = ring.take(class) {
                return Ok(id);
            }
            let added = fill(&mut ring, class);
            if let Err(error) = self.save(&ring) {
                // Nothing may be sealed under a key that is in memory alone.
                ring.withdraw(&added);
                return Err(error);
            }
        }
    }

    /// Rows name these keys.
    pub(crate) fn used(&self, ids: &std::collections::BTreeSet<DataKeyId>) {
        self.ring.write().unwrap_or_else(PoisonError::into_inner).used(ids);
    }

    fn change<T>(&self, change: impl FnOnce(&mut KeyRing) -> T) -> Result<T, KeyError> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut ring);
        self.save(&ring)?;
        Ok(done)
    }

    fn save(&self, ring: &KeyRing) -> Result<(), KeyError> {
        let path = self.folder.join(FILE);
        private::write(&path, &ring.to_file(&self.root, self.passphrase.as_ref())).map_err(KeyError::io(&path))
    }

    /// A secret of the hub's beside its keys, sealed under the root key; one that lies there in the clear, from before
    /// sealing, is sealed now. None if there is none.
    ///
    /// # Errors
    /// `SecretDamaged`, `Io`.
    pub fn secret(&self, name: &str) -> Result<Option<Zeroizing<[u8; 32]>>, KeyError> {
        let path = self.folder.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KeyError::io(&path)(error)),
        };
        if let Ok(secret) = <[u8; 32]>::try_from(&bytes[..]) {
            self.put_secret(name, &secret)?;
            return Ok(Some(Zeroizing::new(secret)));
        }
        let plain = self.open_beside(SECRETS, name.as_bytes(), &bytes);
        let secret = plain.and_then(|plain| <[u8; 32]>::try_from(&plain[..]).ok());
        secret.map(|secret| Some(Zeroizing::new(secret))).ok_or(KeyError::SecretDamaged(path))
    }

    /// A secret of the hub's; a fresh one if there is none.
    ///
    /// # Errors
    /// `SecretDamaged`, `Io`.
    pub fn secret_or_fresh(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        if let Some(secret) = self.secret(name)? {
            return Ok(secret);
        }
        let secret: Zeroizing<[u8; 32]> = Zeroizing::new(entropy::fresh());
        self.put_secret(name, &secret)?;
        Ok(secret)
    }

    fn put_secret(&self, name: &str, secret: &[u8; 32]) -> Result<(), KeyError> {
        let path = self.folder.join(name);
        let sealed = self.seal_beside(SECRETS, name.as_bytes(), secret);
        private::write(&path, &sealed).map_err(KeyError::io(&path))
    }

    /// Seals something that lies beside the store under the root key itself: it outlives data keys.
    pub(crate) fn seal_beside(&self, family: &str, key: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        record::begin(&mut sealed);
        sealed.extend_from_slice(plain);
        let place = Place { hub: self.hub, family, key, kind: 0 };
        record::seal(&place, &self.root.secrets_key(self.hub), &entropy::fresh(), &mut sealed);
        sealed
    }

    /// And opens it; none if it is not what was sealed for this place.
    pub(crate) fn open_beside(&self, family: &str, key: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(Vec::new());
        let place = Place { hub: self.hub, family, key, kind: 0 };
        record::open(&place, &self.root.secrets_key(self.hub), sealed, &mut plain).ok().map(|()| plain)
    }

    /// Opens a sealed row.
    pub(crate) fn open_row(&self, place: &Place<'_>, stored: &[u8], plain: &mut Vec<u8>) -> Result<(), RecordError> {
        self.ring().open(place, stored, plain)
    }
}

/// Adds spare keys of a class; answers which.
fn fill(ring: &mut KeyRing, class: Class) -> Vec<DataKeyId> {
    let mut random = Zeroizing::new([0; FRESH_KEY_BYTES]);
    let mut added = Vec::new();
    for _ in 0..ring.refill() {
        *random = entropy::fresh();
        added.extend(ring.add(class, &random));
    }
    added
}

/// Where the root key of a folder's hub comes from.
fn locate(folder: &Path, config: &SealConfig) -> RootSource {
    if let Some(path) = &config.passphrase_file {
        return RootSource::PassphraseFile(path.clone());
    }
    if std::env::var_os(PASSPHRASE_VARIABLE).is_some() {
        return RootSource::PassphraseVariable;
    }
    if let Some(path) = &config.root_key {
        return RootSource::File(path.clone());
    }
    if let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        let path = Path::new(&credentials).join(CREDENTIAL);
        if path.exists() {
            return RootSource::Credential(path);
        }
    }
    let beside = beside(folder);
    let system = PathBuf::from(SYSTEM_ROOT_KEY);
    let is_system = folder == Path::new(SYSTEM_FOLDER) && !beside.exists() && system.parent().is_some_and(Path::exists);
    RootSource::File(if is_system { system } else { beside })
}

/// `hub.root.key` beside the folder `hub`: not in it, so that a copy of the folder does not hold its own key.
fn beside(folder: &Path) -> PathBuf {
    let whole = match folder.file_name() {
        Some(_) => folder.to_owned(),
        None => folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
    };
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    name.push(".root.key");
    whole.with_file_name(name)
}

fn path_of(source: &RootSource) -> PathBuf {
    match source {
        RootSource::File(path) | RootSource::Credential(path) | RootSource::PassphraseFile(path) => path.clone(),
        RootSource::PassphraseVariable => PathBuf::from(PASSPHRASE_VARIABLE),
    }
}

/// The passphrase, if the root key comes from one.
fn passphrase_of(source: &RootSource) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    match source {
        RootSource::PassphraseFile(path) => {
            let mut text = std::fs::read(path).map_err(KeyError::io(path))?;
            // An editor's line end is no part of it.
            let length = text.trim_ascii_end().len();
            text[length..].zeroize();
            text.truncate(length);
            Ok(Some(Zeroizing::new(text)))
        }
        RootSource::PassphraseVariable => {
            let text = std::env::var(PASSPHRASE_VARIABLE).unwrap_or_default();
            Ok(Some(Zeroizing::new(text.into_bytes())))
        }
        RootSource::File(_) | RootSource::Credential(_) => Ok(None),
    }
}

/// The root key of a file; none if there is no file.
fn read_root(source: &RootSource) -> Result<Option<RootKey>, KeyError> {
    let path = path_of(source);
    match std::fs::read(&path) {
        Ok(content) => {
            let content = Zeroizing::new(content);
            RootKey::from_file(&content).map(Some).ok_or(KeyError::RootMalformed(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeyError::io(&path)(error)),
    }
}

fn make_root(source: &RootSource) -> Result<RootKey, KeyError> {
    let path = path_of(source);
    if matches!(source, RootSource::Credential(_)) {
        return Err(KeyError::RootMissing(path));
    }
    let secret: Zeroizing<[u8; RootKey::LEN]> = Zeroizing::new(entropy::fresh());
    let root = RootKey::new(&secret);
    private::write(&path, root.to_file().as_bytes()).map_err(KeyError::io(&path))?;
    tracing::warn!(
        path = %path.display(),
        "a root key was made: without it nothing that this hub holds can be read. Keep a copy of it, apart from backups of \
         the hub's folder"
    );
    Ok(root)
}
