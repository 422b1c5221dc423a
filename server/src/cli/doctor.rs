//! `lockstep doctor`: looks for what is wrong, and says what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::exit::{Exit, Failed};
use super::{Options, output};
use crate::admin::{AdminClient, Answer, Request, Status};
use crate::config::Config;
use crate::instance::{Instance, InstanceError};
use crate::keychain::{KeyStatus, Keychain, RootSource};
use crate::names;
use crate::store::Store;
use crate::tls::Certificate;
use crate::verify;

/// Less free space than this is trouble soon, bytes.
const FREE_BYTES_WARN: u64 = 2 * 1024 * 1024 * 1024;
/// Less free space than this is trouble now, bytes.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// A certificate with fewer days left should have been renewed.
const CERTIFICATE_DAYS_WARN: u64 = 30;
/// The time of this program's first release: a clock before it is wrong. Milliseconds since 1970.
const RELEASED_MS: u64 = 1_760_000_000_000;
/// File handles beyond the connections: store, listener, threads.
const FILES_BESIDE: u64 = 1_024;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    Good,
    Warning,
    Bad,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    health: Health,
    text: String,
}

#[derive(Debug, Serialize)]
struct Report {
    kind: &'static str,
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, check: &'static str, health: Health, text: impl Into<String>) {
        self.findings.push(Finding { check, health, text: text.into() });
    }
}

/// Runs all checks; exit code 1 if something is bad.
pub(super) fn run(options: &Options) -> Result<(), Failed> {
    let config = options.config()?;
    let mut report = Report { kind: "doctor", findings: Vec::new() };
    check_folder(&config.folder, &mut report);
    check_disk(&config.folder, &mut report);
    check_files(&config, &mut report);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let mut client = AdminClient::connect(&config.folder).await.ok()?;
        match client.ask(&Request::Status).await {
            Ok(Answer::Status(status)) => Some(status),
            _ => None,
        }
    });
    match &status {
        Some(status) => check_running(status, &mut report),
        None => check_stopped(&config, &mut report),
    }
    let is_bad = report.findings.iter().any(|finding| finding.health == Health::Bad);
    if options.json {
        output::json(&report)?;
    } else {
        for finding in &report.findings {
            let mark = match finding.health {
                Health::Good => "ok     ",
                Health::Warning => "warning",
                Health::Bad => "BAD    ",
            };
            output::line(&format!("{mark}  {:<12} {}", finding.check, finding.text))?;
        }
    }
    if is_bad { Err(Failed::new(Exit::Failed, "unwell", "something is wrong; see above")) } else { Ok(()) }
}

fn check_folder(folder: &Path, report: &mut Report) {
    match std::fs::metadata(folder) {
        Err(error) => {
            let text = format!("{}: {error}; make the hub with `lockstep init`", folder.display());
            report.add("folder", Health::Bad, text);
        }
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            let text = format!("{} can be read by others; run chmod 700 on it", folder.display());
            report.add("folder", Health::Warning, text);
        }
        Ok(_) => report.add("folder", Health::Good, folder.display().to_string()),
    }
}

fn check_disk(folder: &Path, report: &mut Report) {
    let Ok(space) = rustix::fs::statvfs(folder) else { return };
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    let text = format!("{} MiB free", free_bytes / 1024 / 1024);
    if free_bytes < FREE_BYTES_MIN {
        report.add("disk", Health::Bad, text + "; the hub stops when it cannot write: free some space");
    } else if free_bytes < FREE_BYTES_WARN {
        report.add("disk", Health::Warning, text + "; free some space soon");
    } else {
        report.add("disk", Health::Good, text);
    }
}

fn check_files(config: &Config, report: &mut Report) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let wanted = config.listen.connections_max as u64 + FILES_BESIDE;
    match limit {
        Some(limit) if limit < wanted => {
            let text = format!(
                "{limit} files may be open in this shell, {wanted} are wanted for {} connections; set LimitNOFILE in the \
                 systemd unit, or lower listen.connections_max",
                config.listen.connections_max
            );
            report.add("limits", Health::Warning, text);
        }
        _ => report.add("limits", Health::Good, "enough open files for listen.connections_max"),
    }
}

fn check_running(status: &Status, report: &mut Report) {
    match status.ready {
        true => report.add("hub", Health::Good, format!("running on {}, ready", status.address)),
        false => report.add("hub", Health::Bad, "running, but lets no device in yet; look at its log"),
    }
    check_keys(&status.keys, report);
    check_days(status.certificate_days_left, report);
    check_clock(0, report);
}

/// The hub is not running: its store can be looked at.
fn check_stopped(config: &Config, report: &mut Report) {
    report.add("hub", Health::Warning, "not running; start it with `lockstep serve`");
    if !config.folder.join("store").exists() {
        return report.add("store", Health::Bad, "there is none; make the hub with `lockstep init`");
    }
    let instance = match Instance::take(&config.folder) {
        Ok(instance) => instance,
        Err(error @ InstanceError::Locked(_)) => return report.add("store", Health::Warning, error.to_string()),
        Err(error) => return report.add("store", Health::Bad, error.to_string()),
    };
    let keychain = match Keychain::open(instance.folder(), &config.seal) {
        Ok(keychain) => Arc::new(keychain),
        Err(error) => return report.add("keys", Health::Bad, error.to_string()),
    };
    check_keys(&keychain.status(), report);
    let key = match instance.hub_key(&keychain) {
        Ok(key) => key,
        Err(error) => return report.add("keys", Health::Bad, error.to_string()),
    };
    check_root(instance.folder(), keychain.source(), report);
    let names = names::reachable(&config.listen.names, config.listen.address);
    let certificate = Certificate::open(&config.folder, &config.tls, &names, Arc::clone(&keychain));
    match certificate.and_then(|certificate| certificate.days_left()) {
        Ok(days) => check_days(days, report),
        Err(error) => report.add("certificate", Health::Bad, error.to_string()),
    }
    let store = Store::open_with(instance.folder(), &config.store, keychain);
    match store.and_then(|store| Ok((verify::verify(&store, &key, &mut |_| {})?, store.reader().stored()?))) {
        Ok((found, stored)) => {
            match found.damage.first() {
                None => {
                    let text = format!("{} rows read, newest entry {}", found.rows, stored.head.lsn.0);
                    report.add("store", Health::Good, text);
                }
                Some(damage) => {
                    let text = format!(
                        "{} rows are damaged or missing, the first in family {}, key {}: {}; lockstep verify names all. \
                         Restore from a backup",
                        found.damaged, damage.family, damage.key, damage.what
                    );
                    report.add("store", Health::Bad, text);
                }
            }
            check_clock(stored.head.at_ms, report);
        }
        Err(error) => report.add("store", Health::Bad, error.to_string()),
    }
}

fn check_keys(keys: &KeyStatus, report: &mut Report) {
    match (keys.mode.as_str(), keys.complete) {
        ("all", true) => report.add("sealing", Health::Good, "every row is sealed"),
        ("all", false) => {
            let text = "rows from before sealing are still in the clear; a running hub seals them in the background";
            report.add("sealing", Health::Warning, text);
        }
        _ => report.add("sealing", Health::Warning, "only the vault class is sealed (seal.mode)"),
    }
}

/// The root key's file is for this user alone, and not among what it seals.
fn check_root(folder: &Path, source: &RootSource, report: &mut Report) {
    let (RootSource::File(path) | RootSource::PassphraseFile(path)) = source else { return };
    let is_open = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if whole(path).starts_with(whole(folder)) {
        let text = format!("{} lies in the folder that it seals: a copy of the folder can be read", path.display());
        report.add("root key", Health::Warning, text);
    } else if is_open {
        let text = format!("{} can be read by others; run chmod 600 on it", path.display());
        report.add("root key", Health::Warning, text);
    } else {
        report.add("root key", Health::Good, format!("{source}; have a copy of it elsewhere"));
    }
}

fn check_days(days: Option<u64>, report: &mut Report) {
    match days {
        None => {
            report.add("certificate", Health::Bad, "expired; put a new one in place (same key), or restart the hub")
        }
        Some(days @ ..CERTIFICATE_DAYS_WARN) => {
            report.add("certificate", Health::Warning, format!("{days} days left; renew it, with the same key"));
        }
        Some(days) => report.add("certificate", Health::Good, format!("{days} days left")),
    }
}

fn check_clock(newest_ms: u64, report: &mut Report) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let floor_ms = newest_ms.max(RELEASED_MS);
    if now_ms < floor_ms {
        let text = "this machine's clock is behind the newest entry or this program's release; set it (timedatectl \
                    set-ntp true, or date -s), or devices' messages are refused as written in the future";
        report.add("clock", Health::Bad, text);
    } else {
        report.add("clock", Health::Good, "not behind the store");
    }
}
