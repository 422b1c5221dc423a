//! Sealing of a device's rows: AES-256-GCM under a key that comes from the device's root key. DESIGN section 8.
//!
//! The root key is given by the application, from the system's key store, or lies in a file beside the device's folder,
//! readable by its owner only: a copy of the folder alone is noise.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use lockstep_protocol::id::HubId;
use lockstep_seal::record::{self, HEADER_BYTES, Place, SALT_BYTES};
use lockstep_seal::{DataKey, RootKey};

use super::StoreError;

/// Every device has a root key of its own, so nothing more needs to tell one store from another.
const STORE: HubId = HubId([0; 16]);
/// Records for which salts are drawn at once.
const SALTS: usize = 64;
/// What a file of the root key takes at most, bytes.
const FILE_BYTES_MAX: u64 = 128;

/// Seals and opens values.
pub(crate) struct Sealer {
    key: DataKey,
}

/// Salts, drawn many at a time: a row costs less than a call of the system.
pub(crate) struct Salts {
    bytes: [u8; SALTS * SALT_BYTES],
    used: usize,
}

impl Sealer {
    /// With the application's key, or that of the file beside the folder.
    ///
    /// # Errors
    /// `KeyMissing`, `KeyUnusable`, `Io`.
    pub(crate) fn open(home: &Path, root: Option<&[u8; 32]>) -> Result<Self, StoreError> {
        let root = match root {
            Some(root) => RootKey::new(root),
            None => read(&key_file(home))?,
        };
        Ok(Self::of(&root))
    }

    /// As [`Sealer::open`]; makes the file if there is none.
    pub(crate) fn open_or_create(home: &Path, root: Option<&[u8; 32]>) -> Result<Self, StoreError> {
        match Self::open(home, root) {
            Err(StoreError::KeyMissing { path }) => {
                let mut secret = [0; 32];
                fill(&mut secret)?;
                let root = RootKey::new(&secret);
                write(&path, root.to_file().as_bytes()).map_err(|source| StoreError::Io { path, source })?;
                Ok(Self::of(&root))
            }
            opened => opened,
        }
    }

    fn of(root: &RootKey) -> Self {
        Self { key: root.secrets_key(STORE) }
    }

    /// Room for a record; what is appended is sealed by [`Sealer::seal`].
    pub(crate) fn begin(value: &mut Vec<u8>) {
        record::begin(value);
    }

    /// Seals what was appended, for its place.
    pub(crate) fn seal(
        &self,
        table: &str,
        key: &[u8],
        salts: &mut Salts,
        value: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        debug_assert!(value.len() >= HEADER_BYTES);
        record::seal(&place(table, key), &self.key, salts.next()?, value);
        Ok(())
    }

    /// Opens a value; none if it is not what was sealed for this place under this key.
    pub(crate) fn unseal(&self, table: &str, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        record::open(&place(table, key), &self.key, value, &mut plain).ok()?;
        Some(plain)
    }
}

impl Salts {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; SALTS * SALT_BYTES], used: SALTS }
    }

    fn next(&mut self) -> Result<&[u8; SALT_BYTES], StoreError> {
        if self.used == SALTS {
            fill(&mut self.bytes)?;
            self.used = 0;
        }
        self.used += 1;
        let (salts, _) = self.bytes.as_chunks::<SALT_BYTES>();
        Ok(&salts[self.used - 1])
    }
}

const fn place<'a>(table: &'a str, key: &'a [u8]) -> Place<'a> {
    Place { hub: STORE, family: table, key, kind: 0 }
}

/// Where the root key of a device lies that has no key store: beside its folder, not in it.
pub(crate) fn key_file(home: &Path) -> PathBuf {
    let mut name = home.file_name().map_or_else(|| OsString::from("device"), OsString::from);
    name.push(".key");
    home.with_file_name(name)
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    let io = |error: getrandom::Error| StoreError::Io { path: PathBuf::from("random numbers"), source: error.into() };
    getrandom::fill(bytes).map_err(io)
}

fn read(path: &Path) -> Result<RootKey, StoreError> {
    match fs::metadata(path) {
        Ok(file) if file.len() > FILE_BYTES_MAX => return Err(StoreError::KeyUnusable { path: path.to_owned() }),
        _ => {}
    }
    match fs::read(path) {
        Ok(content) => RootKey::from_file(&content).ok_or_else(|| StoreError::KeyUnusable { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::KeyMissing { path: path.to_owned() }),
        Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
    }
}

/// Writes a new file, readable by its owner only, durably.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
