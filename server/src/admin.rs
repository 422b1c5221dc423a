//! Administration: a socket in the hub's folder, for this machine's root and the hub's own user alone. One JSON object a
//! line asks, one answers.

mod answer;
mod request;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::audit::Deed;
use lockstep_core::row::ConversationRow;
use lockstep_core::scan::ScanRow;
use lockstep_protocol::codec;
use lockstep_protocol::directory::{Conversation, Member};
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::{Command, ListedDevice, Outcome};
use lockstep_protocol::id::{ConversationId, ImportId, MemberId};
use lockstep_protocol::limits;
use lockstep_protocol::link::Link;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_words::Category;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use answer::snake_case;
pub use answer::{
    Answer, ConversationInfo, DeviceInfo, Failure, HitInfo, ImportReport, MemberInfo, Pairing, PolicyInfo, ScanInfo,
    ShredReport, Status, WordInfo,
};
pub use request::{Hex, KeepText, PolicyChange, Request, RoleName};

use crate::audit;
use crate::driver::{Condition, HubHandle, Stopping};
use crate::entropy;
use crate::import::{self, ImportError};
use crate::keychain::{KeyError, Keychain};
use crate::metrics::Metrics;
use crate::server::Identity;
use crate::store::{Store, StoreError};
use crate::tls::{Certificate, TlsError};
use crate::verify;
use crate::words::WordList;

/// The socket's name in the hub's folder.
pub const SOCKET: &str = "admin.sock";
/// The file, among the hub's keys, of the secret from which ids of imported messages are derived: made once.
const IMPORT_KEY: &str = "import.key";
/// Rows between two lines of the log while everything is being read.
const VERIFY_TOLD_ROWS: u64 = 100_000;
/// Longest request or answer, bytes.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A client that says nothing is dropped after so long.
const IDLE: Duration = Duration::from_secs(300);

/// Why the socket cannot be opened.
#[derive(Debug, Error)]
#[error("the admin socket {path}: {error}")]
pub struct AdminError {
    path: PathBuf,
    error: std::io::Error,
}

/// The socket, bound and not yet served.
#[derive(Debug)]
pub struct Admin {
    listener: UnixListener,
    path: PathBuf,
    desk: Arc<Desk>,
}

/// What answers requests.
#[derive(Debug)]
struct Desk {
    identity: Identity,
    key: HubKey,
    hub: HubHandle,
    store: Arc<Store>,
    certificate: Arc<Certificate>,
    metrics: Arc<Metrics>,
    /// The list of sensitive words; held while it is being changed.
    words: tokio::sync::Mutex<WordList>,
    started: Instant,
}

impl Admin {
    /// Binds the socket. The folder's lock is held, so a socket that is there is a dead one's.
    ///
    /// # Errors
    /// If the system does not give it.
    pub fn bind(
        identity: Identity,
        key: HubKey,
        hub: HubHandle,
        store: Arc<Store>,
        certificate: Arc<Certificate>,
        metrics: Arc<Metrics>,
        words: WordList,
    ) -> Result<Self, AdminError> {
        let path = identity.folder.join(SOCKET);
        let bound = remove(&path).and_then(|()| UnixListener::bind(&path)).and_then(|listener| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        let listener = bound.map_err(|error| AdminError { path: path.clone(), error })?;
        let words = tokio::sync::Mutex::new(words);
        let desk = Desk { identity, key, hub, store, certificate, metrics, words, started: Instant::now() };
        Ok(Self { listener, path, desk: Arc::new(desk) })
    }

    /// Serves until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = clients.join_next(), if !clients.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => drop(clients.spawn(serve(stream, Arc::clone(&self.desk)))),
                    Err(error) => tracing::warn!(%error, "an admin connection could not be accepted"),
                },
            }
        }
        clients.shutdown().await;
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, "the admin socket could not be removed");
        }
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn serve(stream: UnixStream, desk: Arc<Desk>) {
    let own = rustix::process::geteuid().as_raw();
    let permitted = stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0);
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        let mut bounded = (&mut reader).take(LINE_BYTES_MAX);
        let read = match tokio::time::timeout(IDLE, bounded.read_line(&mut line)).await {
            Ok(Ok(0)) | Err(_) => return,
            Ok(read) => read,
        };
        let answer = match (permitted, read) {
            (false, _) => Err(Failure::new("not_permitted", "only root and the hub's own user may do this")),
            (true, Err(error)) => Err(Failure::new("unreadable", error.to_string())),
            (true, Ok(_)) => match serde_json::from_str::<Request>(&line) {
                Ok(request) => desk.answer(request).await,
                Err(error) => Err(Failure::new("malformed", format!("the request is not understood: {error}"))),
            },
        };
        let mut bytes = serde_json::to_vec(&answer).expect("answers have no maps with other keys than strings");
        bytes.push(b'\n');
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl Desk {
    async fn answer(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Status => self.status().await,
            Request::MemberAdd { id, name, role } => {
                let id = match id {
                    Some(id) => id,
                    None => self.read(|store| Ok(free_number(&store.reader().stored()?.members))).await?,
                };
                let member = Member { id: MemberId(id), name, role: role.into() };
                self.done(Command::MemberAdd(member)).await?;
                Ok(Answer::Member { id })
            }
            Request::MemberList => {
                let stored = self.read(|store| store.reader().stored()).await?;
                let device_count = |id| stored.devices.values().filter(|device| device.member == id).count();
                let members = stored.members.values().map(|member| MemberInfo::new(member, device_count(member.id)));
                Ok(Answer::Members { members: members.collect() })
            }
            Request::MemberRole { id, role } => {
                self.done(Command::MemberRole { member: MemberId(id), role: role.into() }).await
            }
            Request::MemberRemove { id } => self.done(Command::MemberRemove { member: MemberId(id) }).await,
            Request::Pair { id } => self.pair(MemberId(id)).await,
            Request::DeviceList => self.devices().await,
            Request::PolicyShow => {
                let stored = self.read(|store| store.reader().stored()).await?;
                Ok(Answer::Policy(stored.policy.into()))
            }
            Request::PolicySet(change) => {
                let stored = self.read(|store| store.reader().stored()).await?;
                self.done(Command::PolicySet(change.apply(stored.policy))).await
            }
            Request::Exported { conversation } => {
                let deed = Deed::Exported { conversation: Some(conversation.0) };
                Self::outcome(self.hub.acted(deed).await).map(|_| Answer::Done)
            }
            Request::Audit { after, filter } => {
                let page = self.read(move |store| audit::page(&store.reader(), after, &filter)).await?;
                Ok(Answer::Audit(page))
            }
            Request::AuditVerify => {
                let key = self.key.clone();
                Ok(Answer::AuditVerified(self.read(move |store| audit::verify(&store.reader(), &key)).await?))
            }
            Request::DeviceRevoke { device } => self.done(Command::DeviceRevoke { device: device.0 }).await,
            Request::ConversationNew { customer, service, assigned } => {
                let id = ConversationId(entropy::fresh());
                let assigned = numbers(assigned);
                let service = service.map(MemberId);
                let conversation = Conversation { id, customer, service, assigned, keep: None };
                self.done(Command::ConversationOpen(conversation)).await?;
                Ok(Answer::Conversation { id: id.to_string() })
            }
            Request::ConversationList => {
                let conversations = self.read(|store| {
                    let mut list = Vec::new();
                    store.reader().conversations(None, |row: ConversationRow| {
                        list.push(ConversationInfo::new(&row));
                        Ok(true)
                    })?;
                    Ok(list)
                });
                Ok(Answer::Conversations { conversations: conversations.await? })
            }
            Request::Assign { conversation, member } => {
                self.done(Command::Assign { conversation: conversation.0, member: MemberId(member) }).await
            }
            Request::Unassign { conversation, member } => {
                self.done(Command::Unassign { conversation: conversation.0, member: MemberId(member) }).await
            }
            Request::Import { conversation, customer, assigned, import, facts } => {
                let (id, assigned) = (conversation.0, numbers(assigned));
                let conversation = Conversation { id, customer, service: None, assigned, keep: None };
                self.import(conversation, import.0, &facts).await
            }
            Request::ImportUndo { conversation, import } => {
                let undone = self.hub.import_undone(conversation.0, import.0).await;
                Self::outcome(undone).map(|_| Answer::Done)
            }
            Request::ConversationKeep { conversation, keep } => {
                let keep = keep.map(|keep| keep.0);
                self.done(Command::ConversationKeep { conversation: conversation.0, keep }).await
            }
            Request::Shred { conversation } => self.shred(conversation.0).await,
            Request::KeyStatus => Ok(Answer::Keys(self.store.key_status())),
            Request::KeyRotate => {
                let generation = self.keys(Keychain::rotate).await?;
                Self::outcome(self.hub.acted(Deed::KeysRotated { generation }).await)?;
                tracing::info!(generation, "data keys are wrapped anew");
                Ok(Answer::Keys(self.store.key_status()))
            }
            Request::ImportKey => {
                let key = self.keys(|keychain| keychain.secret_or_fresh(IMPORT_KEY)).await?;
                Ok(Answer::ImportKey { key: hex::encode(&key[..]) })
            }
            Request::WordsList => {
                let condition = self.condition().await?;
                let list = self.words.lock().await;
                let words = list.entries().into_iter().map(|(entry, added)| WordInfo {
                    text: entry.text,
                    category: entry.category.to_string(),
                    added,
                });
                let ScanRow { is_done: done, documents, found, failed, .. } = condition.scan;
                Ok(Answer::Words { words: words.collect(), scan: ScanInfo { done, documents, found, failed } })
            }
            Request::WordsAdd { words, category } => {
                let category: Category =
                    category.parse().map_err(|error| Failure::new("malformed", format!("{category}: {error}")))?;
                self.change_words(|list| words.iter().fold(false, |changed, word| list.add(word, category) | changed))
                    .await
            }
            Request::WordsRemove { words } => {
                let mut missing = None;
                let removed = self.change_words(|list| {
                    missing = words.iter().find(|word| !list.clone().remove(word)).cloned();
                    missing.is_none() && words.iter().fold(false, |changed, word| list.remove(word) | changed)
                });
                let answer = removed.await;
                match missing {
                    Some(word) => {
                        Err(Failure::new("not_listed", format!("`{word}` is not in the list; nothing was removed")))
                    }
                    None => answer,
                }
            }
            Request::WordsTest { text } => {
                let matcher = self.words.lock().await.matcher();
                let matcher = matcher.map_err(|error| Failure::new("words", error.to_string()))?;
                let matcher = matcher.matcher();
                let hits = matcher.find(&text).into_iter().map(|hit| HitInfo {
                    word: matcher.entries()[hit.entry].text.clone(),
                    category: hit.category.to_string(),
                    from: hit.range.start,
                    to: hit.range.end,
                });
                Ok(Answer::Found { hits: hits.collect() })
            }
            Request::Verify => {
                let key = self.key.clone();
                let mut tell = |rows: u64| {
                    if rows.is_multiple_of(VERIFY_TOLD_ROWS) {
                        tracing::info!(rows, "everything is being read");
                    }
                };
                let report = self.read(move |store| verify::verify(store, &key, &mut tell)).await?;
                if report.damaged > 0 {
                    tracing::error!(rows = report.rows, damaged = report.damaged, "rows are damaged or missing");
                }
                Ok(Answer::Verified(report))
            }
            Request::CertificateKey => {
                let pem = self.certificate.key_pem().map_err(|error| Failure::new("certificate", error.to_string()))?;
                let unusable = |_| Failure::new("certificate", "the private key is no PEM");
                let key = String::from_utf8(pem.to_vec()).map_err(unusable)?;
                tracing::warn!("the certificate's private key was given to a command on this machine");
                Ok(Answer::CertificateKey { key })
            }
            Request::RefreshCertificate => {
                let certificate = Arc::clone(&self.certificate);
                let refreshed = tokio::task::spawn_blocking(move || certificate.refresh()).await;
                let refreshed = refreshed.map_err(|_| Failure::new("panicked", "reading the certificate panicked"))?;
                refreshed.map_err(|error| Failure::new("certificate", error.to_string()))?;
                Ok(Answer::Done)
            }
        }
    }

    async fn status(&self) -> Result<Answer, Failure> {
        let condition = self.condition().await?;
        let store_bytes = self.store.size_bytes();
        self.metrics.store_size(store_bytes);
        let unusable = |error: TlsError| Failure::new("certificate", error.to_string());
        let days = self.certificate.days_left().map_err(unusable)?;
        let authority = self.certificate.authority_fingerprint().map_err(unusable)?;
        Ok(Answer::Status(Box::new(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            hub: self.identity.hub.to_string(),
            address: self.identity.address.to_string(),
            names: self.identity.names.clone(),
            pinned_key: self.identity.pinned.to_string(),
            ready: condition.ready,
            uptime_seconds: self.started.elapsed().as_secs(),
            epoch: condition.epoch.to_string(),
            newest_lsn: condition.head.0,
            connections: self.metrics.connections(),
            conversations_in_memory: condition.conversations_in_memory,
            store_bytes,
            certificate_days_left: days,
            authority,
            keys: self.store.key_status(),
        })))
    }

    async fn condition(&self) -> Result<Condition, Failure> {
        self.hub.condition().await.map_err(|error| Failure::new("stopping", error.to_string()))
    }

    /// Changes the list of sensitive words, durably; everything stored is looked at again in the background.
    async fn change_words(&self, change: impl FnOnce(&mut WordList) -> bool) -> Result<Answer, Failure> {
        let mut words = self.words.lock().await;
        let mut list = words.clone();
        if !change(&mut list) {
            return Ok(Answer::Done);
        }
        let matcher = list.matcher().map_err(|error| Failure::new("malformed", error.to_string()))?;
        let difference = list.difference(&words);
        Self::outcome(self.hub.words_changed(list.to_bytes().into(), Arc::new(matcher), difference).await)?;
        *words = list;
        Ok(Answer::Done)
    }

    /// Destroys a conversation, and says what was destroyed and what could not be reached.
    async fn shred(&self, conversation: ConversationId) -> Result<Answer, Failure> {
        let tally = self.read(move |store| store.reader().tally(conversation)).await?;
        let outcome = self.hub.shred(conversation).await;
        if let Ok(Outcome::Refused(refusal)) = &outcome
            && refusal.known() == Some(RefusalCode::Busy)
        {
            let text = "everything is deleted, but the data keys could not be destroyed yet: the hub goes on trying, also \
                        after a restart; its log says why";
            return Err(Failure::new("keys_left", text));
        }
        Self::outcome(outcome)?;
        let present = self.hub.present().await.map_err(|error| Failure::new("stopping", error.to_string()))?;
        let devices = self.list_devices().await?;
        let away = devices.iter().filter(|listed| !present.contains(&listed.device));
        Ok(Answer::Shredded(ShredReport {
            conversation: conversation.to_string(),
            messages: tally.messages,
            documents: tally.documents,
            keys: tally.keys,
            devices_away: away.map(DeviceInfo::new).collect(),
        }))
    }

    async fn devices(&self) -> Result<Answer, Failure> {
        Ok(Answer::Devices { devices: self.list_devices().await?.iter().map(DeviceInfo::new).collect() })
    }

    /// The devices with when they were last seen, which the hub knows better than its store.
    async fn list_devices(&self) -> Result<Vec<ListedDevice>, Failure> {
        let mut devices = Vec::new();
        let mut after = None;
        loop {
            let page = match self.command(Command::DeviceList { after }).await? {
                Outcome::Devices(page) => page,
                other => return Err(Failure::new("unexpected", format!("{other:?}"))),
            };
            after = page.last().map(|listed| listed.device);
            let is_last = page.len() < limits::DEVICES_LISTED_MAX;
            devices.extend(page);
            if is_last {
                return Ok(devices);
            }
        }
    }

    async fn pair(&self, member: MemberId) -> Result<Answer, Failure> {
        let host = self.identity.names.first().cloned().unwrap_or_else(|| "localhost".into());
        match self.command(Command::Invite { member }).await? {
            Outcome::Invited { code, for_ms } => {
                let link = Link { host, port: self.identity.address.port(), pinned: self.identity.pinned, code };
                Ok(Answer::Pairing(Pairing { page: link.page(), link: link.to_string(), for_seconds: for_ms / 1000 }))
            }
            other => Err(Failure::new("unexpected", format!("{other:?}"))),
        }
    }

    async fn done(&self, command: Command) -> Result<Answer, Failure> {
        self.command(command).await.map(|_| Answer::Done)
    }

    async fn import(&self, conversation: Conversation, run: ImportId, facts: &str) -> Result<Answer, Failure> {
        let malformed = || Failure::new("malformed", "the facts are not a CBOR list in hex");
        let bytes = hex::decode(facts).map_err(|_| malformed())?;
        let facts: Vec<Fact> = codec::decode_value(&bytes).ok_or_else(malformed)?;
        let id = conversation.id;
        let is_there = self.read(move |store| Ok(store.reader().conversation(id)?.is_some())).await?;
        if !is_there {
            self.done(Command::ConversationOpen(conversation)).await?;
        }
        match import::run(&self.hub, self.identity.hub, id, run, facts).await {
            Ok(report) => Ok(Answer::Imported { report }),
            Err(ImportError::Refused(refusal)) => Err(Failure::refused(&refusal)),
            Err(error @ ImportError::Stopping(_)) => Err(Failure::new("stopping", error.to_string())),
            Err(error @ ImportError::Building(_)) => Err(Failure::new("import", error.to_string())),
        }
    }

    async fn command(&self, command: Command) -> Result<Outcome, Failure> {
        Self::outcome(self.hub.administer(command).await)
    }

    fn outcome(outcome: Result<Outcome, Stopping>) -> Result<Outcome, Failure> {
        match outcome {
            Ok(Outcome::Refused(refusal)) => Err(Failure::refused(&refusal)),
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(Failure::new("stopping", error.to_string())),
        }
    }

    /// Does something with the hub's keys, away from its task.
    async fn keys<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keychain) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(store.keychain())).await;
        let done = done.map_err(|_| Failure::new("panicked", "the work on the keys panicked"))?;
        done.map_err(|error| Failure::new("keys", error.to_string()))
    }

    /// Reads the store away from the hub's task.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || read(&store)).await;
        let read = read.map_err(|_| Failure::new("panicked", "reading the store panicked"))?;
        read.map_err(|error| Failure::new("store", error.to_string()))
    }
}

/// Members of a list, each once, in order.
fn numbers(list: Vec<u32>) -> Vec<MemberId> {
    let numbers: std::collections::BTreeSet<MemberId> = list.into_iter().map(MemberId).collect();
    numbers.into_iter().collect()
}

/// The next staff number after the greatest.
fn free_number(members: &std::collections::BTreeMap<MemberId, Member>) -> u32 {
    members.keys().next_back().map_or(1, |newest| newest.0.saturating_add(1))
}

const _: () = assert!(limits::NAME_BYTES_MAX < LINE_BYTES_MAX as usize);

/// The other end: a connection of the command line to a running hub.
#[derive(Debug)]
pub struct AdminClient {
    stream: BufReader<UnixStream>,
}

impl AdminClient {
    /// Connects to the hub of a folder.
    ///
    /// # Errors
    /// `not_running` when no hub serves the folder, `not_permitted` when the socket is another user's.
    pub async fn connect(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(SOCKET);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Self { stream: BufReader::new(stream) }),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let text = format!("{}: {error}; run this as root or as the hub's own user", path.display());
                Err(Failure::new("not_permitted", text))
            }
            Err(error) => {
                let text = format!(
                    "no hub is running on {} ({error}); start it with `lockstep serve`, or name its folder with --folder",
                    folder.display()
                );
                Err(Failure::new("not_running", text))
            }
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the hub says, or `not_running` if it went away.
    pub async fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        let gone = |error: std::io::Error| Failure::new("not_running", format!("the hub went away: {error}"));
        let mut bytes = serde_json::to_vec(request).map_err(|error| Failure::new("malformed", error.to_string()))?;
        bytes.push(b'\n');
        self.stream.get_mut().write_all(&bytes).await.map_err(gone)?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await.map_err(gone)?;
        if line.is_empty() {
            return Err(Failure::new("not_running", "the hub went away"));
        }
        serde_json::from_str::<Result<Answer, Failure>>(&line)
            .map_err(|error| Failure::new("malformed", format!("the hub's answer is not understood: {error}")))?
    }
}
