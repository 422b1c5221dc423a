//! The hub's configuration: one struct, one default, one list of settings that everything else is made from.
//!
//! A TOML file, then the environment (`LOCKSTEP_` and the key in capitals, dots as underscores), then flags; the later
//! one wins. All problems are reported at once.

mod setting;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lockstep_core::hub::HubConfig;
use lockstep_protocol::link::DEFAULT_PORT;

use crate::keychain::SealConfig;
use crate::store::StoreConfig;
use setting::{SETTINGS, Setting};

/// Everything that an operator may choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The one folder of data.
    pub folder: PathBuf,
    /// Where to listen.
    pub listen: ListenConfig,
    /// Own certificate instead of the hub's.
    pub tls: TlsConfig,
    /// Memory of the store.
    pub store: StoreConfig,
    /// What is sealed, and where the root key comes from.
    pub seal: SealConfig,
    /// The core's choices.
    pub hub: HubConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// How long a stopping hub waits for what is in flight, seconds.
    pub grace_seconds: u64,
}

/// Where and for how many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenConfig {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// A second port, of this machine only and without TLS, for a proxy that holds the hub's certificate.
    pub plain: Option<SocketAddr>,
    /// Names and addresses by which devices reach the hub; the first goes into pairing links. Empty: what the machine
    /// knows of itself.
    pub names: Vec<String>,
    /// Origins, as `https://inbox.example`, whose pages may connect beside the hub's own.
    pub origins: Vec<String>,
    /// Open connections at once.
    pub connections_max: usize,
    /// Connections at once that have not finished TLS and HTTP.
    pub handshakes_max: usize,
    /// Who may read `/metrics`.
    pub metrics: MetricsAccess,
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricsAccess {
    /// This machine only.
    Local,
    /// Everyone who reaches the port.
    All,
}

/// Own certificate: both files or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsConfig {
    /// PEM file of the chain, the server's first.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
}

/// What is logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// A filter as `tracing-subscriber` reads it: `info`, `lockstep_server=debug,warn` …
    pub level: String,
    /// How.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("/var/lib/lockstep"),
            listen: ListenConfig {
                address: SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)),
                plain: None,
                names: Vec::new(),
                origins: Vec::new(),
                connections_max: 16_384,
                handshakes_max: 256,
                metrics: MetricsAccess::Local,
            },
            tls: TlsConfig::default(),
            store: StoreConfig::default(),
            seal: SealConfig::default(),
            hub: HubConfig::default(),
            log: LogConfig { level: "info".into(), format: LogFormat::Text },
            grace_seconds: 20,
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigProblems(pub Vec<String>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} problem{}:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigProblems {}

impl Config {
    /// Reads the file if there is one, then the environment's pairs, then the flags' (`key`, `value`).
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Self, ConfigProblems> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => config.take_file(path, &text, &mut problems),
                Err(error) => problems.push(format!("{}: {error}", path.display())),
            }
        }
        let environment: std::collections::BTreeMap<String, String> = environment.into_iter().collect();
        for setting in SETTINGS {
            if let Some(value) = environment.get(&setting.variable()) {
                config.take_text(setting, value, &setting.variable(), &mut problems);
            }
        }
        for (key, value) in flags {
            match SETTINGS.iter().find(|setting| setting.key == key) {
                Some(setting) => config.take_text(setting, value, &format!("--set {key}"), &mut problems),
                None => problems.push(unknown(key, "--set")),
            }
        }
        if config.tls.certificate.is_some() != config.tls.key.is_some() {
            problems.push("tls.certificate and tls.key go together: give both or none".into());
        }
        if config.seal.root_key.is_some() && config.seal.passphrase_file.is_some() {
            problems.push("seal.root_key and seal.passphrase_file exclude each other: give one, or none".into());
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigProblems(problems)) }
    }

    fn take_file(&mut self, path: &Path, text: &str, problems: &mut Vec<String>) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => return problems.push(format!("{}: {}", path.display(), error.to_string().trim_end())),
        };
        let mut leaves = Vec::new();
        flatten(String::new(), &table, &mut leaves);
        for (key, value) in leaves {
            let place = format!("{}: {key}", path.display());
            match SETTINGS.iter().find(|setting| setting.key == key) {
                Some(setting) => {
                    if let Err(problem) = (setting.take)(self, value) {
                        problems.push(format!("{place}: {problem}"));
                    }
                }
                None => problems.push(unknown(&key, &path.display().to_string())),
            }
        }
    }

    /// A value from the environment or a flag: the setting says what it must be.
    fn take_text(&mut self, setting: &Setting, text: &str, place: &str, problems: &mut Vec<String>) {
        if let Err(problem) = (setting.take)(self, &setting.value(text)) {
            problems.push(format!("{place}: {problem}"));
        }
    }

    /// The example file: every setting with its meaning and default.
    #[must_use]
    pub fn example() -> String {
        let mut text = String::from(
            "# Lockstep's configuration. Every setting is shown with its default; remove the # to change one.\n\
             # The environment (LOCKSTEP_ and the key in capitals, dots as underscores) goes over this file, flags\n\
             # (--set key=value) over both.\n",
        );
        let mut section = "";
        for setting in SETTINGS {
            let (own, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
            if own != section {
                text.push_str(&format!("\n[{own}]\n"));
                section = own;
            }
            for line in setting.meaning.lines() {
                text.push_str(&format!("# {line}\n"));
            }
            text.push_str(&format!("#{name} = {}\n", setting.default));
        }
        text
    }
}

fn unknown(key: &str, place: &str) -> String {
    let near = SETTINGS.iter().map(|setting| setting.key).min_by_key(|known| distance(known, key)).unwrap_or_default();
    format!("{place}: there is no setting `{key}`; did you mean `{near}`?")
}

/// Letters to change, at least as a measure of nearness: those not in common by position from either end.
fn distance(one: &str, other: &str) -> usize {
    let same = |pairs: &mut dyn Iterator<Item = (u8, u8)>| pairs.take_while(|(a, b)| a == b).count();
    let front = same(&mut one.bytes().zip(other.bytes()));
    let back = same(&mut one.bytes().rev().zip(other.bytes().rev()));
    one.len().max(other.len()).saturating_sub(front + back)
}

fn flatten<'a>(prefix: String, table: &'a toml::Table, leaves: &mut Vec<(String, &'a toml::Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(table) => flatten(key, table, leaves),
            value => leaves.push((key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigProblems> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        std::fs::write(&path, file).unwrap();
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
        };
        Config::load(Some(&path), owned(environment), &owned(flags))
    }

    #[test]
    fn the_example_is_the_default() {
        let uncommented: String = Config::example()
            .lines()
            .map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(load(&uncommented, &[], &[]).unwrap(), Config::default());
        assert_eq!(load(&Config::example(), &[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_example_file_is_the_one_that_the_program_writes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../lockstep.example.toml");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let made = Config::example();
        if std::env::var_os("UPDATE_EXAMPLE").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        assert_eq!(written, made, "run UPDATE_EXAMPLE=1 cargo test -p lockstep-server --lib config");
    }

    #[test]
    fn later_places_win() {
        let file = "grace_seconds = 1\n[listen]\naddress = \"127.0.0.1:1\"\nconnections_max = 10";
        let config = load(
            file,
            &[("LOCKSTEP_GRACE_SECONDS", "2"), ("LOCKSTEP_LISTEN_CONNECTIONS_MAX", "11")],
            &[("grace_seconds", "3"), ("listen.names", "hub.lan, 10.0.0.2")],
        );
        let config = config.unwrap();
        assert_eq!(config.grace_seconds, 3);
        assert_eq!(config.listen.connections_max, 11);
        assert_eq!(config.listen.address.port(), 1);
        assert_eq!(config.listen.names, ["hub.lan", "10.0.0.2"]);
    }

    #[test]
    fn all_problems_come_at_once() {
        let file = "folder = 3\nnonsense = 1\n[listen]\naddress = \"here\"\nplain = \"10.0.0.1:80\"\nconnection_max = 5\n[log]\nformat = \"xml\"";
        let problems =
            load(file, &[("LOCKSTEP_GRACE_SECONDS", "soon")], &[("tls.key", "k.pem"), ("x", "y")]).unwrap_err();
        let text = problems.to_string();
        for part in [
            "9 problems",
            "listen.plain: only an address of this machine",
            "folder: ",
            "no setting `nonsense`",
            "listen.address: ",
            "did you mean `listen.connections_max`?",
            "log.format: one of `text`, `json`",
            "LOCKSTEP_GRACE_SECONDS: ",
            "--set: there is no setting `x`",
            "tls.certificate and tls.key go together",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        assert!(load("a = [", &[], &[]).unwrap_err().to_string().contains("1 problem:"));
    }
}
